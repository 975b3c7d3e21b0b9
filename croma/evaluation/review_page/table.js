"use strict";
// Tables that sort by a click on a column, and the filter over runs.

const COLOURS = ["#1b6ca8", "#d9792b", "#3d8f5f", "#a8437f", "#7a5fb8", "#b79a1d", "#3aa5a0", "#c44e4e", "#5f6f7d", "#8d6b4a", "#1f2d3d", "#7fb04a"];

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && name !== "style") element[name] = value; else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

const short = (value) => {
  if (value === null || value === undefined || value === "") return "";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1000 || size < 1e-3 ? value.toPrecision(3) : value.toPrecision(4).replace(/\.?0+$/, "");
};

const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.round(seconds % 60)];
  return h ? `${h} h ${m} min` : m ? `${m} min ${s} s` : `${s} s`;
};

const asNumber = (text) => (typeof text === "string" && text.trim() !== "" && !isNaN(text) ? Number(text) : text);

// Empty values last whichever way; numbers before words.
const compare = (a, b, down) => {
  const none = (value) => value === null || value === undefined || value === "";
  if (none(a) || none(b)) return none(a) - none(b);
  const order = typeof a === "number" && typeof b === "number" ? a - b
    : typeof a === typeof b ? String(a).localeCompare(String(b), "en", { numeric: true }) : typeof a === "number" ? -1 : 1;
  return down ? -order : order;
};

// columns: {name, value(row), show?(row), good?: "high" | "low"}; rows: any; order: {column, down}, changed in place.
const drawTable = (table, columns, rows, order, redraw, decorate = () => {}) => {
  const chosen = columns.find((column) => column.name === order.column);
  const sorted = chosen ? [...rows].sort((a, b) => compare(chosen.value(a), chosen.value(b), order.down)) : rows;
  const head = make("tr");
  for (const column of columns) {
    const cell = make("th", { className: "sortable", textContent: column.name, title: column.title || "" });
    if (column === chosen) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    cell.onclick = () => {
      order.down = order.column === column.name ? !order.down : column.good === "high";
      order.column = column.name;
      redraw();
    };
    head.append(cell);
  }
  const best = columns.map((column) => {
    const values = rows.map(column.value).filter((value) => typeof value === "number");
    const [low, high] = [Math.min(...values), Math.max(...values)];
    if (!column.good || !(low < high)) return undefined;
    return column.good === "high" ? high : low;
  });
  const body = make("tbody");
  for (const row of sorted) {
    const line = make("tr", { className: "row" });
    columns.forEach((column, position) => {
      const value = column.value(row);
      const cell = make("td", { className: typeof value === "number" ? "number" : "" });
      cell.append(column.show ? column.show(row) : short(value));
      if (best[position] !== undefined && value === best[position]) cell.classList.add("best");
      line.append(cell);
    });
    decorate(line, row);
    body.append(line);
  }
  table.replaceChildren(make("thead", {}, head), body);
};

// Words must all be found in a run; `name>0.1` and `name=x` compare a parameter or metric whose name ends so.
const matches = (run, text) => text.trim().split(/\s+/).filter(Boolean).every((word) => {
  const condition = word.match(/^([^<>=]+)([<>=])(.+)$/);
  if (!condition) {
    const everything = [run.name, run.group, run.status, run.code, run.dataset,
      ...Object.entries(run.params).map(([key, value]) => `${key}=${value}`)].join("\n").toLowerCase();
    return everything.includes(word.toLowerCase());
  }
  const [, name, sign, wanted] = condition;
  return Object.entries({ ...run.metrics, ...run.params }).some(([key, raw]) => {
    if (key !== name && !key.endsWith(`.${name}`) && !key.endsWith(`/${name}`)) return false;
    const value = asNumber(raw), limit = asNumber(wanted);
    return sign === "=" ? String(value) === String(limit) : sign === ">" ? value > limit : value < limit;
  });
});

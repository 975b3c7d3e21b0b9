"use strict";
// What every part of the page is drawn with: elements, numbers, bars, histograms.

const SPLIT_COLOURS = { train: "#1b6ca8", val: "#d9792b", test: "#3d8f5f" };
const at = (id) => document.getElementById(id);

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && name !== "style") element[name] = value; else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

const svg = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const tip = (element, text) => {
  const box = at("tip");
  element.addEventListener("mousemove", (event) => {
    box.textContent = text;
    box.hidden = false;
    box.style.left = `${Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8)}px`;
    box.style.top = `${event.clientY + 14}px`;
  });
  element.addEventListener("mouseleave", () => { box.hidden = true; });
};

const number = (value) => {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
};

const legend = (entries) => entries.map(([name, colour]) =>
  make("span", {}, make("i", { className: "swatch", style: `background:${colour}` }), name));

// columns: [title, value of a row, whether it is a number]
const table = (element, columns, rows) => {
  const cell = (tag, content, numeric) => {
    const made = make(tag, { className: numeric ? "number" : "" });
    made.append(content instanceof Node ? content : typeof content === "number" ? number(content) : content ?? "");
    return made;
  };
  const head = make("tr", {}, ...columns.map(([title, , numeric]) => cell("th", title, numeric)));
  const body = rows.map((row) => make("tr", {}, ...columns.map(([, value, numeric]) => cell("td", value(row), numeric))));
  element.replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
};

const WIDTH = 460, HEIGHT = 190, LEFT = 46, BOTTOM = 40, TOP = 8;

// A few round numbers from 0 to `high`.
const ticks = (high) => {
  const rough = (high || 1) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, n) => n * step);
};

// Bars of chips, one split on another.
const barChart = (chart) => {
  const total = (bar) => Object.values(bar.chips).reduce((sum, count) => sum + count, 0);
  const high = Math.max(...chart.bars.map(total));
  const width = (WIDTH - LEFT) / chart.bars.length;
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / high;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  for (const tick of ticks(high)) {
    drawing.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(tick), y2: y(tick) }),
      svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, number(tick)));
  }
  const longest = Math.max(...chart.bars.map((bar) => bar.name.length)) * 6.2;
  const every = Math.ceil(Math.min(longest, 50) / width);
  chart.bars.forEach((bar, place) => {
    const x = LEFT + place * width;
    let below = 0;
    for (const split of DATA.map.splits) {
      const count = bar.chips[split] ?? 0;
      if (!count) continue;
      drawing.append(svg("rect", { x: x + width * 0.08, width: width * 0.84, y: y(below + count), height: y(below) - y(below + count), fill: SPLIT_COLOURS[split] }));
      below += count;
    }
    if (bar.colour) drawing.append(svg("rect", { x: x + width * 0.08, width: width * 0.84, y: HEIGHT - BOTTOM + 2, height: 4, fill: bar.colour }));
    const name = chart.step ? `${bar.name} to ${number(Number(bar.name) + chart.step)}` : bar.name;
    const counts = DATA.map.splits.filter((split) => bar.chips[split]).map((split) => `${split} ${number(bar.chips[split])}`);
    const reach = svg("rect", { x, width, y: TOP, height: HEIGHT - BOTTOM - TOP, fill: "transparent" });
    tip(reach, [name, ...counts].join("\n"));
    drawing.append(reach);
    if (place % every === 0) {
      // The first word above, the rest below.
      const [first, ...rest] = bar.name.split(" ");
      drawing.append(svg("text", { x: x + width / 2, y: HEIGHT - BOTTOM + 19, "text-anchor": "middle" }, first.slice(0, 12)),
        svg("text", { x: x + width / 2, y: HEIGHT - BOTTOM + 32, "text-anchor": "middle" }, rest.join(" ").slice(0, 12)));
    }
  });
  return make("div", { className: "chart" }, make("h3", { textContent: chart.title }), drawing);
};

// The histogram of a band, with its percentiles as lines.
const histogram = (band, unit, logarithmic) => {
  const [width, height, bottom] = [250, 110, 18];
  const scale = (count) => (logarithmic ? Math.log10(1 + count) : count);
  const box = make("div", {}, make("h3", { textContent: band.name }));
  if (!band.count) return box;
  // Cut where hardly a pixel is left, so that one bright pixel does not flatten the rest.
  const first = band.percentiles[0], last = band.percentiles.at(-1), margin = (last - first) * 0.25 || band.step;
  const low = Math.max(band.start, first - margin), high = Math.min(band.start + band.step * band.histogram.length, last + margin);
  const top = Math.max(...band.histogram.map(scale));
  const x = (value) => width * (value - low) / (high - low);
  const y = (count) => (height - bottom) * (1 - scale(count) / top);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}` });
  band.histogram.forEach((count, place) => {
    const start = Math.max(band.start + place * band.step, low), end = Math.min(band.start + (place + 1) * band.step, high);
    if (end <= start || !count) return;
    drawing.append(svg("rect", { x: x(start), width: Math.max(x(end) - x(start) - 0.3, 0.4), y: y(count), height: height - bottom - y(count), fill: "var(--accent)" }));
  });
  band.percentiles.forEach((value, place) => {
    const middle = DATA.shares[place] === 0.5;
    drawing.append(svg("line", { x1: x(value), x2: x(value), y1: 0, y2: height - bottom, stroke: "var(--ink)", "stroke-opacity": middle ? 0.9 : 0.3, "stroke-width": middle ? 1.4 : 1 }));
  });
  for (const [value, anchor] of [[low, "start"], [(low + high) / 2, "middle"], [high, "end"]]) {
    drawing.append(svg("text", { x: x(value), y: height - 4, "text-anchor": anchor }, number(value)));
  }
  tip(drawing, `${band.name}, ${unit}\nmean ${number(band.mean)}, standard deviation ${number(band.std)}\n${number(band.count)} pixels`);
  box.append(drawing);
  return box;
};

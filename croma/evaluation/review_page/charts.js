// Charts as SVG: curves over steps, and scores as dots with intervals.

const svg = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const tip = (element, text) => {
  const box = document.getElementById("tip");
  element.addEventListener("mousemove", (event) => {
    box.textContent = typeof text === "function" ? text(event) : text;
    box.hidden = false;
    box.style.left = `${Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8)}px`;
    box.style.top = `${event.clientY + 14}px`;
  });
  element.addEventListener("mouseleave", () => { box.hidden = true; });
};

// About `count` round numbers between low and high.
const ticks = (low, high, count) => {
  const rough = (high - low || 1) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) found.push(Number(tick.toPrecision(12)));
  return found;
};

const WIDTH = 460, HEIGHT = 220, LEFT = 52, BOTTOM = 26, TOP = 8, RIGHT = 8;

// series: [{name, colour, points: [[step, value], …]}]
const curveChart = (title, series, logarithmic) => {
  const usable = (value) => value !== null && (!logarithmic || value > 0);
  const scale = (value) => (logarithmic ? Math.log10(value) : value);
  const lines = series.map((line) => ({ ...line, points: line.points.filter(([, value]) => usable(value)) }));
  const points = lines.flatMap((line) => line.points);
  const box = make("div", { className: "chart" }, make("h3", { textContent: title }));
  if (!points.length) return box;
  const steps = points.map(([step]) => step), values = points.map(([, value]) => scale(value));
  let [x0, x1, y0, y1] = [Math.min(...steps), Math.max(...steps), Math.min(...values), Math.max(...values)];
  if (y0 === y1) [y0, y1] = [y0 - 0.5, y1 + 0.5];
  const x = (step) => LEFT + (WIDTH - LEFT - RIGHT) * (x1 > x0 ? (step - x0) / (x1 - x0) : 0.5);
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (scale(value) - y0) / (y1 - y0);
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  for (const tick of ticks(y0, y1, 5)) {
    const value = logarithmic ? 10 ** tick : tick;
    chart.append(svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
      svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)));
  }
  for (const tick of ticks(x0, x1, 5)) chart.append(svg("text", { x: x(tick), y: HEIGHT - 8, "text-anchor": "middle" }, short(tick)));
  for (const line of lines) {
    if (!line.points.length) continue;
    const path = line.points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`);
    const shape = line.points.length > 1
      ? svg("polyline", { points: path.join(" "), fill: "none", stroke: line.colour, "stroke-width": 1.6 })
      : svg("circle", { cx: path[0].split(",")[0], cy: path[0].split(",")[1], r: 3.5, fill: line.colour });
    chart.append(shape);
  }
  tip(chart, (event) => {
    const place = chart.getBoundingClientRect();
    const step = x0 + (x1 - x0) * ((event.clientX - place.left) / place.width * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT);
    const near = lines.filter((line) => line.points.length).map((line) => {
      const [at, value] = line.points.reduce((a, b) => (Math.abs(b[0] - step) < Math.abs(a[0] - step) ? b : a));
      return `${line.name}: ${short(value)} at ${short(at)}`;
    });
    return near.join("\n");
  });
  box.append(chart);
  return box;
};

// rows: [{name, colour, value, low, high, note, mark, baselines: [{name, value}]}]
const intervalChart = (title, rows) => {
  const box = make("div", { className: "chart" }, make("h3", { textContent: title }));
  const longest = Math.max(...rows.map((row) => row.name.length));
  const height = 26 * rows.length + BOTTOM + TOP, left = Math.min(240, Math.max(150, 20 + 5.8 * longest));
  const values = rows.flatMap((row) => [row.low ?? row.value, row.high ?? row.value, ...row.baselines.map((each) => each.value)]);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  [low, high] = [Math.max(0, low - 0.03), Math.min(1, high + 0.03)];
  if (high - low < 0.05) [low, high] = [Math.max(0, high - 0.05), Math.max(high, 0.05)];
  const x = (value) => left + (WIDTH - left - 28) * (value - low) / (high - low);
  const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}` });
  for (const tick of ticks(low, high, 4)) {
    chart.append(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: TOP, y2: height - BOTTOM }),
      svg("text", { x: x(tick), y: height - 9, "text-anchor": "middle" }, short(tick)));
  }
  rows.forEach((row, number) => {
    const y = TOP + 26 * number + 13;
    const group = svg("g", { "data-run": row.name }, svg("text", { class: "name", x: left - 10, y: y + 4, "text-anchor": "end" },
      row.name.length > 38 ? `${row.name.slice(0, 37)}…` : row.name));
    if (row.low !== null) group.append(svg("line", { x1: x(row.low), x2: x(row.high), y1: y, y2: y, stroke: row.colour, "stroke-width": 3, "stroke-opacity": 0.45 }));
    for (const each of row.baselines) {
      const mark = svg("path", { d: `M ${x(each.value)} ${y - 8} v 16`, stroke: each.colour, "stroke-width": 2 });
      tip(mark, `${each.name}: ${short(each.value)}`);
      group.append(mark);
    }
    group.append(svg("circle", { cx: x(row.value), cy: y, r: 5, fill: row.colour }),
      svg("text", { class: "name", x: WIDTH - 22, y: y + 4 }, row.mark));
    const interval = row.low === null ? "" : ` [${short(row.low)}, ${short(row.high)}]`;
    tip(group, [`${row.name}: ${short(row.value)}${interval}`, row.note, ...row.baselines.map((each) => `${each.name}: ${short(each.value)}`)].join("\n"));
    chart.append(group);
  });
  box.append(chart);
  return box;
};

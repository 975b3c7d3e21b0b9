// The page: every part drawn from the data.

const units = { optical: "reflectance × 10,000", radar: "decibels" };
const verdict = (name) => make("span", { className: `verdict ${name}`, textContent: name });
const options = (select, values) => select.replaceChildren(...values.map((value) => make("option", { value, textContent: value })));

const drawHead = () => {
  document.title = `${DATA.name} version ${DATA.version}`;
  at("title").textContent = `${DATA.name}, version ${DATA.version} `;
  const worst = ["failed", "look", "unknown", "passed"].find((name) => DATA.checks.some((check) => check.verdict === name));
  if (worst) at("title").append(verdict(worst));
  at("uri").textContent = DATA.uri;
  at("facts").replaceChildren(...DATA.facts.map(([name, value]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));
};

const drawChecks = () => table(at("check-table"), [
  ["check", (check) => check.name],
  ["verdict", (check) => verdict(check.verdict)],
  ["asked", (check) => check.asked],
  ["found", (check) => {
    const cell = make("div", { textContent: check.found });
    if (check.examples.length) cell.append(make("ul", {}, ...check.examples.map((example) => make("li", { textContent: example }))));
    return cell;
  }],
], DATA.checks);

const drawRefused = () => {
  const columns = [["reason", (row) => row.reason], ["pairs", (row) => row.count, true], ["for example", (row) => row.example]];
  if (DATA.refusals.length) table(at("refusals"), columns, DATA.refusals);
  else at("refusals").replaceChildren(make("tbody", {}, make("tr", {}, make("td", { textContent: "No pair was refused." }))));
  if (DATA.leftOut.length) table(at("left-out"), [["left out when planned", (row) => row.reason], ["places", (row) => row.count, true]], DATA.leftOut);
};

const drawBands = () => {
  const sensors = DATA.statistics[at("split").value] ?? {};
  const rows = ["radar", "optical"].flatMap((role) => (sensors[role] ?? []).map((band) => ({ role, ...band })));
  at("histograms").replaceChildren(...rows.map((band) => histogram(band, units[band.role], at("logarithmic").checked)));
  table(at("statistics"), [
    ["band", (band) => band.name], ["unit", (band) => units[band.role]], ["pixels", (band) => band.count, true],
    ["mean", (band) => band.mean, true], ["std", (band) => band.std, true], ["min", (band) => band.minimum, true],
    ...DATA.shares.map((share, place) => [`${share * 100} %`, (band) => band.percentiles[place], true]),
    ["max", (band) => band.maximum, true],
  ], rows);
};

const drawGallery = () => at("pairs").replaceChildren(...DATA.gallery.map((pair) => {
  const facts = [pair.split, pair.optical, `radar ${Math.abs(pair.gap).toFixed(1)} h ${pair.gap < 0 ? "before" : "after"}`, pair.orbit, pair.label,
    pair.cloud === null ? null : `${(100 * pair.cloud).toFixed(1)} % cloud`].filter(Boolean).join(" · ");
  const images = Object.entries(pair.pictures).map(([name, src]) => make("img", { src, alt: name, title: name }));
  return make("figure", {}, make("div", {}, ...images), make("figcaption", {}, facts, make("br"), pair.chip));
}));

options(at("colour"), Object.keys(COLOURINGS));
options(at("split"), Object.keys(DATA.statistics));
at("colour").onchange = at("tiles").onchange = drawMap;
at("split").onchange = at("logarithmic").onchange = drawBands;
drawHead();
drawChecks();
drawMap();
at("charts").append(...DATA.charts.map(barChart));
drawRefused();
drawBands();
drawGallery();

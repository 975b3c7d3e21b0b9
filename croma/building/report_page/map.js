// The map: places of chips, or cells of many, over the graticule and the tiles they come from.

const MAP_WIDTH = 1200, MARGIN = 34;

// A ramp from few to many chips.
const ramp = (share) => {
  const stops = [[222, 235, 247], [107, 174, 214], [8, 48, 107]];
  const place = Math.min(share, 1) * 2, low = Math.min(Math.floor(place), 1);
  return `rgb(${stops[low].map((value, n) => Math.round(value + (stops[low + 1][n] - value) * (place - low))).join(",")})`;
};

const MANY = DATA.map.points.reduce((most, point) => Math.max(most, point[2]), 1);
const COLOURINGS = {
  split: { colour: ([, split]) => SPLIT_COLOURS[DATA.map.splits[split]], legend: () => DATA.map.splits.map((name) => [name, SPLIT_COLOURS[name]]) },
  "chips at a place": { colour: ([, , chips]) => ramp(chips / MANY), legend: () => [[`1`, ramp(1 / MANY)], [`${number(MANY)} chips`, ramp(1)]] },
};
if (DATA.map.classes.length) {
  const known = Object.fromEntries(DATA.map.classes.map(([code, , colour]) => [code, colour]));
  COLOURINGS["land cover"] = { colour: ([, , , label]) => known[label] ?? "#808080", legend: () => DATA.map.classes.map(([, name, colour]) => [name, colour]) };
}

// Degrees between lines of the graticule.
const spacing = (span) => [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30].find((step) => span / step <= 9) ?? 45;

const degrees = (value, positive, negative) => {
  const wrapped = ((value + 180) % 360 + 360) % 360 - 180;
  return `${Number(Math.abs(positive === "E" ? wrapped : value).toFixed(2))}° ${(positive === "E" ? wrapped : value) < 0 ? negative : positive}`;
};

const drawMap = () => {
  const rings = DATA.map.points.map(([ring]) => ring);
  const bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const ring of [...rings, ...(at("tiles").checked ? DATA.map.tiles.map((tile) => tile.ring) : [])]) {
    for (const [longitude, latitude] of ring) {
      bounds[0] = Math.min(bounds[0], longitude); bounds[1] = Math.min(bounds[1], latitude);
      bounds[2] = Math.max(bounds[2], longitude); bounds[3] = Math.max(bounds[3], latitude);
    }
  }
  const [west, south, east, north] = bounds;
  const squeeze = Math.max(Math.cos((south + north) / 2 * Math.PI / 180), 0.05);
  const scale = Math.min((MAP_WIDTH - 2 * MARGIN) / ((east - west) * squeeze), 760 / (north - south));
  const height = (north - south) * scale + 2 * MARGIN;
  const left = (MAP_WIDTH - (east - west) * squeeze * scale) / 2;
  const project = ([longitude, latitude]) => [left + (longitude - west) * squeeze * scale, MARGIN + (north - latitude) * scale];
  const path = (ring) => `M${ring.map((point) => project(point).map((value) => value.toFixed(1)).join(",")).join("L")}Z`;
  const drawing = svg("svg", { viewBox: `0 0 ${MAP_WIDTH} ${height.toFixed(0)}` });
  const step = spacing(Math.max(east - west, north - south));
  for (let longitude = Math.ceil(west / step) * step; longitude <= east; longitude += step) {
    const [x] = project([longitude, north]);
    drawing.append(svg("line", { class: "grid", x1: x, x2: x, y1: MARGIN / 2, y2: height - MARGIN / 2 }),
      svg("text", { x: x + 4, y: height - 6 }, degrees(longitude, "E", "W")));
  }
  for (let latitude = Math.ceil(south / step) * step; latitude <= north; latitude += step) {
    const [, y] = project([west, latitude]);
    drawing.append(svg("line", { class: "grid", x1: 0, x2: MAP_WIDTH, y1: y, y2: y }),
      svg("text", { x: 6, y: y - 4 }, degrees(latitude, "N", "S")));
  }
  const { colour, legend: entries } = COLOURINGS[at("colour").value];
  for (const point of DATA.map.points) {
    const [ring, split, chips, label] = point;
    const shape = svg("path", { d: path(ring), fill: colour(point), "fill-opacity": 0.85, stroke: colour(point), "stroke-width": 0.8, class: "place" });
    const cover = DATA.map.classes.find(([code]) => code === label);
    tip(shape, [`${DATA.map.splits[split]}, ${number(chips)} ${chips === 1 ? "chip" : "chips"}`, cover?.[1] ?? "",
      `${degrees(ring[0][1], "N", "S")}, ${degrees(ring[0][0], "E", "W")}`].filter(Boolean).join("\n"));
    drawing.append(shape);
  }
  if (at("tiles").checked) {
    for (const { name, ring } of DATA.map.tiles) {
      const corner = ring.map(project).reduce((best, point) => (point[1] - point[0] > best[1] - best[0] ? point : best));
      drawing.append(svg("path", { d: path(ring), class: "tile" }), svg("text", { x: corner[0] + 4, y: corner[1] + 12 }, name));
    }
  }
  at("legend").replaceChildren(...legend(entries()));
  at("map-box").replaceChildren(drawing);
  at("map-hint").textContent = DATA.map.kind === "places"
    ? `${number(DATA.map.places)} places, each as large as its chips. Dashed: the ground that chips of an MGRS tile cover.`
    : `${number(DATA.map.places)} places in ${number(DATA.map.points.length)} cells; a cell has the colour of most of its chips.`;
};

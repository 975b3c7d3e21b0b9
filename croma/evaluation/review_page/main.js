// The page: what is chosen, and every part drawn from it.

const BASELINES = { untrained: "#d98c3f", "band-statistics": "#8c8c8c", champion: "#5a9e6f" };
const at = (id) => document.getElementById(id);
const unique = (values) => [...new Set(values)];
const runs = DATA.runs.map((run, number) => ({ ...run, colour: COLOURS[number % COLOURS.length] }));
const state = { off: new Set(), order: { column: "", down: true }, classOrder: { column: "", down: false } };

const latest = (run) => run.evaluations.filter((each) => each.scores.length).at(-1);
const score = (run, protocol, modality, metric, encoder = "trained") => latest(run)?.scores.find((each) =>
  each.encoder === encoder && each.protocol === protocol && each.modality === modality && each.metric === metric);
const visible = () => runs.filter((run) => matches(run, at("filter").value) && (!at("finished").checked || run.status === "FINISHED"));
const objectives = () => unique(visible().map((run) => run.params["objective.kind"]).filter((kind) => kind !== undefined));
const shown = () => visible().filter((run) => !state.off.has(run.id));

const fill = (select, values, preferred) => {
  const before = select.value;
  select.replaceChildren(...values.map((value) => make("option", { value: value.value ?? value, textContent: value.text ?? value })));
  const allowed = values.map((value) => String(value.value ?? value));
  select.value = allowed.includes(before) ? before : allowed.includes(String(preferred)) ? preferred : allowed[0] ?? "";
};

const parameterColumns = () => {
  const names = unique(runs.flatMap((run) => Object.keys(run.params)));
  const differing = names.filter((name) => unique(runs.map((run) => run.params[name]).filter((value) => value !== undefined)).length > 1);
  const kept = at("differing").checked ? differing.filter((name) => name !== "dataset") : names;
  return kept.map((name) => ({ name: name.split(".").slice(-2).join("."), title: name, value: (run) => asNumber(run.params[name] ?? "") }));
};

const drawRuns = () => {
  const [protocol, metric] = [at("protocol").value, at("metric").value];
  const scores = modalities().map((modality) => ({ name: `${modality} ${metric}`, title: `${protocol}, ${modality}, ${metric}`, good: "high",
    value: (run) => score(run, protocol, modality, metric)?.value ?? null }));
  const vary = (field) => unique(runs.map((run) => run[field])).length > 1;
  const columns = [
    { name: "run", value: (run) => run.name, show: (run) => make("span", {}, make("i", { className: "swatch", style: `background:${run.colour}` }), run.name) },
    { name: "status", value: (run) => run.status.toLowerCase() },
    ...scores,
    { name: "loss", title: "bold where all runs have one objective: losses of several do not compare",
      good: objectives().length === 1 ? "low" : undefined, value: (run) => run.metrics["train/loss"] ?? null },
    { name: "gate", value: (run) => (latest(run)?.verdict ? (latest(run).verdict.passed ? "passed" : "not passed") : ""),
      show: (run) => { const verdict = latest(run)?.verdict; return verdict ? make("span", { className: verdict.passed ? "good" : "bad", textContent: verdict.passed ? "passed" : "not passed" }) : ""; } },
    { name: "recipe", title: "runs that differ by seed alone share it", value: (run) => run.group },
    ...parameterColumns(),
    ...(vary("dataset") ? [{ name: "dataset", value: (run) => run.dataset.split("/").at(-1), }] : []),
    ...(vary("code") ? [{ name: "code", value: (run) => run.code }] : []),
    { name: "samples/s", good: "high", value: (run) => run.metrics["speed/samples_per_second"] ?? null },
    { name: "workers", value: (run) => run.workers },
    { name: "time", value: (run) => run.seconds, show: (run) => duration(run.seconds) },
    ...(runs.some((run) => run.cost !== null) ? [{ name: DATA.currency ? `cost, ${DATA.currency}` : "cost", good: "low", value: (run) => run.cost, show: (run) => run.cost?.toFixed(2) ?? "" }] : []),
    { name: "started", value: (run) => run.start, show: (run) => new Date(run.start).toISOString().slice(0, 16).replace("T", " ") },
  ];
  drawTable(at("runs"), columns, visible(), state.order, draw, (line, run) => {
    line.dataset.run = run.name;
    line.classList.toggle("off", state.off.has(run.id));
    line.onclick = () => { state.off.has(run.id) ? state.off.delete(run.id) : state.off.add(run.id); draw(); };
  });
  at("best-of").textContent = `Scores of ${protocol || "no protocol"}; bold is the best of its column.`;
};

const modalities = () => unique(runs.flatMap((run) => latest(run)?.scores ?? []).filter((each) => each.protocol === at("protocol").value).map((each) => each.modality));

const drawScores = () => {
  const [protocol, metric] = [at("protocol").value, at("metric").value];
  const charts = modalities().map((modality) => {
    const rows = shown().map((run) => ({ run, found: score(run, protocol, modality, metric) })).filter((row) => row.found);
    const best = Math.max(...rows.map((row) => row.found.value));
    return rows.length ? intervalChart(modality, rows.map(({ run, found }) => ({
      name: run.name, colour: run.colour, value: found.value, low: found.low, high: found.high,
      note: [`${found.n} chips`, found.note, found.normalisation === "own" ? "" : `scaled as ${found.normalisation}`].filter(Boolean).join(", "),
      mark: found.value === best ? "★" : found.high !== null && found.high >= best ? "☆" : "",
      baselines: at("baselines").checked ? Object.entries(BASELINES).map(([name, colour]) =>
        ({ name, colour, value: score(run, protocol, modality, metric, name)?.value })).filter((each) => each.value !== undefined) : [],
    }))) : "";
  });
  at("scores").replaceChildren(...charts);
  const measured = (name) => shown().some((run) => modalities().some((modality) => score(run, protocol, modality, metric, name)));
  at("strokes").replaceChildren(...Object.entries(BASELINES).filter(([name]) => measured(name)).map(([name, colour]) =>
    make("span", {}, make("i", { className: "stroke", style: `background:${colour}` }), name)));
};

const classValue = (run, encoder, label) => latest(run)?.byClass.find((each) => each.encoder === encoder && each.label === label
  && each.protocol === at("protocol").value && each.modality === at("modality").value)?.value;

const drawClasses = () => {
  const labels = unique(shown().flatMap((run) => latest(run)?.byClass ?? []).map((each) => each.label));
  const rival = at("rival").value;
  const against = (run, label) => (rival in BASELINES ? classValue(run, rival, label) : classValue(runs.find((each) => each.id === rival), "trained", label));
  const columns = [{ name: "run", value: (run) => run.name, show: (run) => make("span", {}, make("i", { className: "swatch", style: `background:${run.colour}` }), run.name) },
    ...labels.map((label) => ({ name: label, value: (run) => classValue(run, "trained", label) ?? null, show: (run) => {
      const value = classValue(run, "trained", label);
      if (value === undefined) return "";
      const gap = value - (against(run, label) ?? value);
      const cell = make("span", { textContent: value.toFixed(2) });
      cell.style = `padding:2px 6px;border-radius:4px;background:rgba(var(--${gap < 0 ? "loss" : "win"}), ${Math.min(Math.abs(gap) * 3, 0.75)})`;
      tip(cell, `${label}: ${value.toFixed(3)} (${gap >= 0 ? "+" : ""}${gap.toFixed(3)})`);
      return cell;
    } }))];
  drawTable(at("classes"), columns, shown().filter((run) => latest(run)?.byClass.length), state.classOrder, draw);
};

const drawCurves = () => {
  const keys = unique(runs.flatMap((run) => Object.keys(run.curves))).sort();
  const history = (run) => run.evaluations.filter((each) => each.scores.length > 0);
  const [protocol, metric] = [at("protocol").value, at("metric").value];
  const charts = keys.map((key) => curveChart(key, shown().filter((run) => run.curves[key]).map((run) =>
    ({ name: run.name, colour: run.colour, points: run.curves[key] })), at("logarithmic").checked));
  // Scores over training, where runs were judged at more than one step.
  if (runs.some((run) => history(run).length > 1)) {
    for (const modality of modalities()) {
      charts.push(curveChart(`${protocol} ${modality} ${metric}`, shown().map((run) => ({ name: run.name, colour: run.colour,
        points: history(run).map((each) => [each.step, each.scores.find((one) => one.encoder === "trained" && one.protocol === protocol
          && one.modality === modality && one.metric === metric)?.value ?? null]) })), false));
    }
  }
  at("curves").replaceChildren(...charts);
};

// Pictures of evaluations, and those that training made on its way.
const pictured = (run) => [...run.looks, ...run.evaluations];

const drawPictures = () => {
  const [name, step] = [at("picture").value, at("step").value];
  const figures = shown().flatMap((run) => {
    const judged = pictured(run).filter((each) => each.pictures[name]);
    const chosen = step === "all" ? judged : step === "latest" ? judged.slice(-1) : judged.filter((each) => String(each.step) === step);
    return chosen.map((each) => {
      const image = make("img", { src: each.pictures[name], alt: `${name} of ${run.name}`, loading: "lazy" });
      image.onclick = () => { at("large").querySelector("img").src = image.src; at("large").showModal(); };
      return make("figure", {}, image, make("figcaption", {}, make("i", { className: "swatch", style: `background:${run.colour}` }), `${run.name}, step ${short(each.step)}`));
    });
  });
  at("pictures").replaceChildren(...figures);
};

const drawVerdicts = () => {
  const rows = shown().flatMap((run) => (latest(run)?.verdict?.conditions ?? []).map((condition) => ({ run, ...condition })));
  drawTable(at("verdicts"), [
    { name: "run", value: (row) => row.run.name }, { name: "asked", value: (row) => row.asked }, { name: "found", value: (row) => row.found },
    { name: "met", value: (row) => (row.met ? "yes" : "no"), show: (row) => make("span", { className: row.met ? "good" : "bad", textContent: row.met ? "yes" : "no" }) },
  ], rows, { column: "" }, draw);
};

const fillChoices = () => {
  const scores = runs.flatMap((run) => latest(run)?.scores ?? []);
  const sources = runs.flatMap(pictured);
  fill(at("protocol"), unique(scores.map((each) => each.protocol)));
  fill(at("metric"), unique(scores.filter((each) => each.protocol === at("protocol").value).map((each) => each.metric)));
  fill(at("modality"), modalities(), "joint");
  fill(at("rival"), [...unique(scores.map((each) => each.encoder)).filter((name) => name !== "trained"),
    ...runs.map((run) => ({ value: run.id, text: run.name }))]);
  fill(at("picture"), unique(sources.flatMap((each) => Object.keys(each.pictures))).sort(), "reconstructions");
  const steps = sources.filter((each) => each.pictures[at("picture").value]).map((each) => each.step);
  fill(at("step"), ["latest", "all", ...unique(steps).sort((a, b) => a - b)]);
};

const draw = () => { fillChoices(); drawRuns(); drawScores(); drawClasses(); drawCurves(); drawPictures(); drawVerdicts(); };

// What all runs have in common; what differs is a column.
const shared = (field) => {
  const values = unique(runs.map((run) => run[field]).filter(Boolean));
  return values.length === 1 ? `, ${field} ${values[0].split("/").at(-1)}` : "";
};

at("title").textContent = `Review of ${DATA.experiment}`;
document.title = at("title").textContent;
at("summary").textContent = `${runs.length} runs, ${unique(runs.map((run) => run.group)).length} recipes, made ${DATA.made.replace("T", " ").slice(0, 16)} UTC${["dataset", "code"].map(shared).join("")}`;
for (const control of document.querySelectorAll("input, select")) control.addEventListener("input", draw);
at("large").onclick = () => at("large").close();
draw();

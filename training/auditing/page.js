// Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
// Ids and labels are the user's own text. They become text nodes, attributes and cells of the CSV only, never markup.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const rows = data.rows.map((values, rank) => {
    const row = { rank: rank + 1 };
    data.columns.forEach((name, i) => { row[name] = values[i]; });
    return row;
  });
  const cards = new Map(data.cards.map((card) => [card.row, card]));
  const PARTITIONS = ["noisy", "hard", "clean"];
  const UNREADABLE = "unreadable";
  const group = (row) => row.partition ?? UNREADABLE;
  const find = (selector, inside = document) => inside.querySelector(selector);

  // Makes an element with attributes, listeners ("onclick") and children; strings are text, never markup.
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function drawn(tag, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  const number = (value, digits = 2) => {
    if (value === null || value === undefined) return "–";
    if (Number.isInteger(value) && digits === 0) return String(value);
    // Values close to 0 or 1 are not shown as 0 or 1.
    const least = 10 ** -digits;
    if (value > 0 && value < least / 2) return `< ${least}`;
    if (value < 0 && value > -least / 2) return `> -${least}`;
    if (value < 1 && value > 1 - least / 2) return `> ${(1 - least).toFixed(digits)}`;
    return value.toFixed(digits);
  };
  const badge = (row) =>
    make("span", { class: `badge ${row.partition ?? "unread"}` }, make("span", { class: "mark", "aria-hidden": "true" }), group(row));

  // Decisions ---------------------------------------------------------------------------------------------------------

  const KEY = `rdfer-audit:${data.audit}`;
  const HEADER = ["sample_id", "content_hash", "given_label", "decision", "label"];
  const DECISIONS = ["keep", "relabel", "drop"];
  let decisions = new Map(); // row number -> {decision, label}
  const history = []; // steps for undo: [[row number, decision before it], ...]
  const byId = new Map(rows.map((row, i) => [row.sample_id, i]));
  let stored = true; // whether the browser stores decisions
  let saved = true; // whether all decisions are in a downloaded file

  function isDecision(row, decision, label) {
    return decision === "relabel" ? data.labels.includes(label) && label !== row.given_label : DECISIONS.includes(decision);
  }

  function restore() {
    decisions = new Map();
    try {
      for (const [id, decision, label] of JSON.parse(localStorage.getItem(KEY)) ?? []) {
        const i = byId.get(id);
        if (i !== undefined && isDecision(rows[i], decision, label)) decisions.set(i, { decision, label });
      }
    } catch (error) { stored = false; }
  }

  function remember() {
    saved = false;
    const list = [...decisions].map(([i, { decision, label }]) => [rows[i].sample_id, decision, label]);
    try { localStorage.setItem(KEY, JSON.stringify(list)); stored = true; } catch (error) { stored = false; }
  }

  // changes: [[row number, {decision, label} or undefined], ...]; they are one step of undo.
  function decide(changes, isUndo = false) {
    const before = changes.map(([i]) => [i, decisions.get(i)]);
    for (const [i, decision] of changes) {
      if (decision) decisions.set(i, decision);
      else decisions.delete(i);
    }
    if (!isUndo) history.push(before);
    remember();
    for (const [i] of changes) paintRow(i);
    paintCounts();
  }

  function undo() {
    const before = history.pop();
    if (!before) return;
    decide(before, true);
    if (before.length === 1 && shown.includes(before[0][0])) findDecider(before[0][0])?.scrollIntoView({ block: "nearest" });
  }

  // A button or key was pressed: the same decision again takes it back.
  function press(i, decision, holder) {
    const label = decision === "relabel" ? find("select", holder).value : "";
    if (decision === "relabel" && !label) { find("select", holder).focus(); return; }
    const now = decisions.get(i);
    const same = now && now.decision === decision && now.label === label;
    decide([[i, same ? undefined : { decision, label }]]);
  }

  function likelyLabel(row) {
    if (row.suggested_label) return row.suggested_label;
    return row.predicted_label && row.predicted_label !== row.given_label ? row.predicted_label : "";
  }

  function decider(i) {
    const row = rows[i];
    const choice = make(
      "select",
      {
        "aria-label": `New label of ${row.sample_id}`,
        onchange: () => {
          if (decisions.get(i)?.decision === "relabel" && choice.value) decide([[i, { decision: "relabel", label: choice.value }]]);
        },
      },
      make("option", { value: "" }, "choose …"),
      ...data.labels.filter((label) => label !== row.given_label).map((label) => make("option", { value: label }, label)),
    );
    choice.value = likelyLabel(row);
    const button = (name, text) =>
      make("button", { type: "button", "data-do": name, "aria-pressed": "false", "aria-label": `${text}: ${row.sample_id}`,
        onclick: () => press(i, name, holder) }, text);
    const holder = make("div", { class: "decider" }, button("keep", "Keep"), button("relabel", "Relabel to"), choice, button("drop", "Drop"),
      make("span", { class: "state" }));
    return holder;
  }

  const inWords = (now) => (now ? (now.decision === "relabel" ? `relabel to ${now.label}` : now.decision) : "");
  const findDecider = (i) => find(`.card[data-row="${i}"]`) ?? find(`tr[data-row="${i}"]`);

  function paint(holder) {
    const now = decisions.get(Number(holder.dataset.row));
    holder.classList.toggle("decided", Boolean(now));
    for (const button of holder.querySelectorAll("[data-do]")) button.setAttribute("aria-pressed", String(now?.decision === button.dataset.do));
    const state = find(".state", holder);
    if (!state) return; // the card is not filled yet
    state.textContent = now ? `Decided: ${inWords(now)}` : "";
    if (now?.decision === "relabel") find("select", holder).value = now.label;
  }

  const paintRow = (i) => document.querySelectorAll(`[data-row="${i}"]`).forEach(paint);

  function paintCounts() {
    const count = { keep: 0, relabel: 0, drop: 0 };
    for (const { decision } of decisions.values()) count[decision] += 1;
    find("#decided").textContent = decisions.size
      ? `${decisions.size} decided: ${count.keep} keep, ${count.relabel} relabel, ${count.drop} drop`
      : "Nothing decided yet";
    find("#undo").disabled = !history.length;
    find("#download").disabled = find("#clear").disabled = !decisions.size;
    find("#kept").textContent = stored
      ? "Decisions stay in this browser until you clear them. They take effect when you download decisions.csv and train with it."
      : "This browser does not store decisions for this page: download decisions.csv before you close it.";
  }

  const cell = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  function download() {
    const lines = [HEADER];
    for (const i of [...decisions.keys()].sort((a, b) => a - b)) {
      const { decision, label } = decisions.get(i);
      lines.push([rows[i].sample_id, rows[i].content_hash ?? "", rows[i].given_label ?? "", decision, label]);
    }
    const text = lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    make("a", { href: url, download: "decisions.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    saved = true;
  }

  function parseCsv(text) {
    const lines = [[""]];
    let quoted = false;
    for (let at = 0; at < text.length; at += 1) {
      const char = text[at];
      const line = lines[lines.length - 1];
      if (quoted && char === '"' && text[at + 1] === '"') { line[line.length - 1] += '"'; at += 1; }
      else if (char === '"') quoted = !quoted;
      else if (!quoted && char === ",") line.push("");
      else if (!quoted && (char === "\n" || char === "\r")) {
        if (char === "\r" && text[at + 1] === "\n") at += 1;
        lines.push([""]);
      } else line[line.length - 1] += char;
    }
    return lines.filter((line) => line.length > 1 || line[0]);
  }

  async function load(file) {
    const [header, ...lines] = parseCsv((await file.text()).replace(/^\uFEFF/, ""));
    const say = (text) => { find("#kept").textContent = text; };
    if (!header || header.join() !== HEADER.join()) {
      say(`${file.name} was not loaded: its first line is not ${HEADER.join(",")}.`);
      return;
    }
    const changes = [];
    for (const [id, hash, given, decision, label] of lines) {
      const i = byId.get(id);
      if (i === undefined || (rows[i].content_hash ?? "") !== hash || (rows[i].given_label ?? "") !== given) continue;
      if (isDecision(rows[i], decision, label)) changes.push([i, { decision, label: label ?? "" }]);
    }
    if (changes.length) decide(changes);
    const left = lines.length - changes.length;
    say(`${changes.length} decisions loaded from ${file.name}.`
      + (left ? ` ${left} were left out: the video is not here, or its file, label or decision does not fit.` : ""));
  }

  // Cards -------------------------------------------------------------------------------------------------------------

  const MEASURES = [
    ["label_quality", "label quality", 3], ["margin", "margin", 2], ["clip_agreement", "clip agreement", 2], ["loss", "loss", 2], ["clip_std", "clip deviation", 2],
    ["num_valid_clips", "clips", 0], ["num_frames", "frames", 0], ["confidence", "confidence", 2], ["variability", "variability", 2],
    ["correctness", "correctness", 2],
  ];
  const best = (probabilities) => probabilities.indexOf(Math.max(...probabilities));

  function bar(probabilities, given) {
    const first = best(probabilities);
    const part = (index, name) => {
      const element = make("i", { class: name });
      element.style.width = `${100 * probabilities[index]}%`;
      return element;
    };
    const known = data.labels.indexOf(given);
    const parts = first === known ? [part(first, "given")] : [part(first, "first"), known < 0 ? null : part(known, "given")];
    return make("div", { class: "bar", "aria-hidden": "true" }, ...parts);
  }

  function clipLine(title, probabilities, given) {
    const first = best(probabilities);
    const known = data.labels.indexOf(given);
    const rest = known >= 0 && first !== known ? `, ${given} ${number(probabilities[known])}` : "";
    return make("li", {}, `${title}: `, make("b", {}, `${data.labels[first]} ${number(probabilities[first])}`), rest, bar(probabilities, given));
  }

  function verdict(row) {
    const [name, label] = row.suggested_label ? ["suggested", row.suggested_label] : ["predicted", row.predicted_label];
    return make("p", { class: "verdict" }, "given ", make("b", {}, row.given_label ?? "–"), ` → ${name} `, make("b", {}, label ?? "–"),
      ...(row.true_label ? [" (true: ", make("b", {}, row.true_label), ")"] : []));
  }

  function fillCard(card) {
    if (card.childElementCount > 1) return;
    const i = Number(card.dataset.row);
    const [row, { frames, frame_times: times, clips, clip_frames: centres }] = [rows[i], cards.get(i)];
    const isStill = row.num_frames === 1; // its clips are made of views of the image
    const moment = (index) => (times[index] === null ? `frame ${index + 1}` : `${times[index].toFixed(2)} s`);
    card.append(
      ...(row.path && row.path !== row.sample_id ? [make("small", {}, row.path)] : []),
      verdict(row),
      make("dl", { class: "measures" }, ...MEASURES.filter(([key]) => row[key] !== undefined).map(([key, name, digits]) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, number(row[key], digits))))),
      make("ol", { class: isStill ? "strip still" : "strip", "aria-label": isStill ? "Image" : "Key frames" }, ...frames.map((frame, index) => {
        const of = centres.flatMap((centre, clip) => (centre === index ? [clip + 1] : []));
        if (isStill) return make("li", {}, make("img", { decoding: "async", src: `data:image/webp;base64,${frame}`, alt: row.sample_id }));
        const picture = make("img", { decoding: "async", src: `data:image/webp;base64,${frame}`,
          alt: `${row.sample_id}, frame ${index + 1} of ${frames.length}${times[index] === null ? "" : ` at ${moment(index)}`}${of.length ? `, centre of clip ${of.join(" and ")}` : ""}` });
        return make("li", { class: of.length ? "centre" : null }, picture, moment(index),
          of.length ? make("b", {}, ` clip ${of.join(", ")}`) : null);
      })),
      make("ul", { class: "clips", "aria-label": "Predictions of the model" },
        ...(row.probabilities ? [clipLine(isStill ? "Image" : "Video", row.probabilities, row.given_label)] : []),
        ...clips.map((probabilities, clip) => clipLine(isStill ? `Views ${clip + 1}` : `Clip ${clip + 1}, ${moment(centres[clip])}`, probabilities, row.given_label))),
      decider(i),
    );
    paint(card);
  }

  function makeCards() {
    const sight = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) { fillCard(target); sight.unobserve(target); }
    }, { rootMargin: "1500px 0px" });
    for (const i of cards.keys()) {
      const card = make("article", { class: "card", id: `card-${i}`, "data-row": i, "data-partition": group(rows[i]), tabindex: "0",
        "aria-labelledby": `title-${i}` }, make("h3", {}, make("span", { id: `title-${i}` }, rows[i].sample_id), badge(rows[i])));
      find("#card-list").append(card);
      paint(card);
      sight.observe(card);
    }
    addEventListener("beforeprint", () => document.querySelectorAll(".card").forEach(fillCard));
  }

  function onKey(event) {
    const holder = event.target.closest?.("[data-row]");
    if (!holder || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input")) return;
    const i = Number(holder.dataset.row);
    const key = event.key.toLowerCase();
    const decision = { k: "keep", r: "relabel", d: "drop" }[key];
    if (decision) press(i, decision, holder);
    else if (key === "u") undo();
    else if ((key === "n" || key === "p") && holder.matches(".card")) {
      const step = key === "n" ? "nextElementSibling" : "previousElementSibling";
      let next = holder[step];
      while (next?.hidden) next = next[step];
      next?.focus();
    } else return;
    event.preventDefault();
  }

  // Table: only visible rows are in the document ----------------------------------------------------------------------

  const COLUMNS = [
    ["sample_id", "Video", 15], ["partition", "Verdict", 6.5], ["given_label", "Given", 6], ["predicted_label", "Predicted", 6],
    ["suggested_label", "Suggested", 6.2], ["label_quality", "Label quality", 5, 3], ["margin", "Margin", 5, 2], ["decision", "Decision", 23.5], ["clip_agreement", "Agree- ment", 5.5, 2],
    ["loss", "Loss", 5, 2], ["true_label", "True", 6], ["rank", "Rank", 5, 0], ["clip_std", "Clip deviation", 6, 2], ["num_valid_clips", "Clips", 5, 0],
    ["confidence", "Confi- dence", 5.5, 2], ["variability", "Varia- bility", 5.5, 2], ["correctness", "Correct- ness", 5.5, 2], ["weight", "Weight", 5.5, 2],
    ["num_frames", "Frames", 5.5, 0], ["split", "Split", 6.5], ["fold", "Fold", 4.5, 0], ["epoch", "Epoch", 5, 0],
  ].filter(([key]) => key === "rank" || key === "decision" || data.columns.includes(key));
  const OVERSCAN = 8;
  const scroller = find("#scroller");
  const body = find("#videos tbody");
  const spaces = [0, 1].map(() => make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: COLUMNS.length })));
  const collator = new Intl.Collator("en", { numeric: true });
  let sort = { key: "rank", direction: 1 };
  let shown = rows.map((_, i) => i);
  let found = -1; // row that was chosen on the map
  const inSight = new Map(); // position in the table -> element

  const isNumber = (column) => column.length > 3;
  const sortValue = (i, key) =>
    key === "decision" ? inWords(decisions.get(i)) || null
    : key === "partition" ? (rows[i].partition && PARTITIONS.indexOf(rows[i].partition))
    : rows[i][key];

  function sorted(numbers) {
    const { key, direction } = sort;
    return numbers.map((i) => [sortValue(i, key), i]).sort(([a, i], [b, j]) => {
      const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
      if (noA || noB) return noA - noB || i - j; // unknown values are last in both directions
      return direction * (typeof a === "string" ? collator.compare(a, b) : a - b) || i - j;
    }).map(([, i]) => i);
  }

  function makeTable() {
    const head = find("#videos thead tr");
    let width = 0;
    for (const column of COLUMNS) {
      const [key, name, rem] = column;
      const col = make("col");
      col.style.width = `${rem}rem`;
      width += rem;
      find("#videos colgroup").append(col);
      head.append(make("th", { scope: "col", class: isNumber(column) ? "number" : null, "data-key": key },
        make("button", { type: "button", onclick: () => {
          sort = { key, direction: sort.key === key ? -sort.direction : 1 };
          showRows(sorted(shown));
        } }, name.replace("- ", "\u00AD"))));
    }
    find("#videos").style.width = `${width}rem`;
    body.append(...spaces);
    scroller.addEventListener("scroll", renderRows, { passive: true });
    addEventListener("resize", renderRows);
  }

  function tableRow(place) {
    const i = shown[place];
    const row = rows[i];
    const cells = COLUMNS.map((column) => {
      const [key, , , digits] = column;
      if (key === "decision") return make("td", {}, decider(i));
      if (key === "partition") return make("td", {}, badge(row));
      if (key === "sample_id")
        return make("th", { scope: "row", title: row.path ?? row.sample_id },
          cards.has(i) ? make("a", { href: `#card-${i}`, onclick: (event) => toCard(event, i) }, row.sample_id) : row.sample_id);
      if (isNumber(column)) return make("td", { class: "number" }, number(row[key], digits));
      return make("td", { title: row[key] }, row[key] ?? "–");
    });
    const element = make("tr", { "data-row": i, "aria-rowindex": place + 2, class: i === found ? "found" : null }, ...cells);
    paint(element);
    return element;
  }

  function rowHeight() {
    const any = body.querySelector("tr[data-row]");
    return (any && any.getBoundingClientRect().height) || 46;
  }

  function renderRows() {
    const height = rowHeight();
    const first = Math.max(0, Math.floor(scroller.scrollTop / height) - OVERSCAN);
    const last = Math.min(shown.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / height) + OVERSCAN);
    for (const [place, element] of inSight) {
      if (place >= first && place < last) continue;
      if (element.contains(document.activeElement)) scroller.focus({ preventScroll: true }); // else the focus would be lost
      element.remove();
      inSight.delete(place);
    }
    let next = spaces[0].nextElementSibling;
    for (let place = first; place < last; place += 1) {
      const there = inSight.get(place);
      if (there) next = there.nextElementSibling;
      else {
        const element = tableRow(place);
        inSight.set(place, element);
        body.insertBefore(element, next);
      }
    }
    spaces[0].firstChild.style.height = `${first * height}px`;
    spaces[1].firstChild.style.height = `${(shown.length - last) * height}px`;
  }

  function showRows(numbers) {
    shown = numbers;
    for (const element of inSight.values()) element.remove();
    inSight.clear();
    scroller.scrollTop = 0;
    find("#videos").setAttribute("aria-rowcount", shown.length + 1);
    for (const head of document.querySelectorAll("#videos thead th"))
      head.setAttribute("aria-sort", head.dataset.key !== sort.key ? "none" : sort.direction > 0 ? "ascending" : "descending");
    renderRows(); // twice: without any row, the first call has to guess the height of a row
    renderRows();
  }

  function toCard(event, i) {
    event.preventDefault();
    const card = find(`#card-${i}`);
    fillCard(card);
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "start" });
  }

  function toRow(i) {
    if (!shown.includes(i)) { find("#filters form").reset(); filter(); }
    found = i;
    showRows(shown);
    scroller.scrollIntoView({ block: "center" });
    scroller.scrollTop = Math.max(0, shown.indexOf(i) - 3) * rowHeight();
    renderRows();
    scroller.focus({ preventScroll: true });
  }

  // Filters -----------------------------------------------------------------------------------------------------------

  const NO_LABEL = "\u0000none"; // a value that is no label
  const form = find("#filters form");

  function makeFilters() {
    const options = { partition: [...PARTITIONS, UNREADABLE], decision: ["none yet", ...DECISIONS], given: data.labels, predicted: data.labels };
    for (const [name, values] of Object.entries(options)) {
      form.elements[name].append(make("option", { value: NO_LABEL }, "all"), ...values.map((value) => make("option", { value }, value)));
      form.elements[name].value = NO_LABEL;
    }
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(filter)); // the fields change after this event
    const narrow = matchMedia("(max-width: 50rem)");
    const fold = () => { find("#filters").open = !narrow.matches; };
    narrow.addEventListener("change", fold);
    fold();
    // Targets of links and focused elements must not be hidden by the toolbar.
    new ResizeObserver(() => find("#review").style.setProperty("--toolbar", `${find("#toolbar").offsetHeight}px`)).observe(find("#toolbar"));
  }

  function filter() {
    const { partition, given, predicted, decision, search } = Object.fromEntries([...form.elements].filter((field) => field.name)
      .map((field) => [field.name, field.value === NO_LABEL ? null : field.value]));
    const text = search.toLowerCase();
    const matches = rows.map((row, i) =>
      (partition === null || group(row) === partition)
      && (given === null || row.given_label === given)
      && (predicted === null || row.suggested_label === predicted || row.predicted_label === predicted)
      && (decision === null || (decisions.get(i)?.decision ?? "none yet") === decision)
      && row.sample_id.toLowerCase().includes(text));
    let visible = 0;
    for (const card of find("#card-list").children) {
      card.hidden = !matches[Number(card.dataset.row)];
      visible += !card.hidden;
    }
    showRows(sorted(rows.map((_, i) => i).filter((i) => matches[i])));
    find("#no-card").hidden = visible > 0 || !cards.size;
    find("#shown").textContent = `${shown.length} of ${rows.length} videos, ${visible} of ${cards.size} cards`;
  }

  // Map ---------------------------------------------------------------------------------------------------------------

  const MARKS = {
    clean: (x, y) => `M${x - 3},${y}a3,3 0 1,0 6,0a3,3 0 1,0 -6,0z`,
    hard: (x, y) => `M${x - 4},${y + 3.5}h8l-4,-7z`,
    noisy: (x, y) => `M${x},${y - 4.5}l4.5,4.5l-4.5,4.5l-4.5,-4.5z`,
  };

  function makeMap() {
    const points = rows.map((row, i) => i).filter((i) => rows[i].partition && Number.isFinite(rows[i].clip_agreement) && Number.isFinite(rows[i].loss));
    const count = (partition) => points.filter((i) => rows[i].partition === partition).length;
    const { noisy_loss_threshold: lossLimit, hard_agreement_threshold: hardLimit } = data.thresholds;
    const limits = {
      noisy: Number.isFinite(lossLimit) ? `: loss above ${number(lossLimit)}` : ": no loss is high enough",
      hard: Number.isFinite(hardLimit) ? `: agreement at most ${number(hardLimit)}` : "",
      clean: "",
    };
    for (const partition of PARTITIONS) {
      const sign = drawn("svg", { width: 14, height: 14, "aria-hidden": "true", viewBox: "0 0 14 14", class: partition });
      sign.append(drawn("path", { d: MARKS[partition](7, 7), fill: "currentColor" }));
      find("#legend").append(make("li", {}, sign, ` ${count(partition)} ${partition}${limits[partition]}`));
    }
    if (!points.length) { find("#plot").replaceChildren("No video has scores."); return; }
    // Four clips give few values of agreement: marks are spread to the sides, or they would hide each other.
    const values = [...new Set(points.map((i) => rows[i].clip_agreement))].sort((a, b) => a - b);
    const gap = Math.min(0.25, ...values.slice(1).map((value, k) => value - values[k]));
    const spread = values.length <= 20 ? 0.4 * gap : 0;
    if (spread) find("#map p").append(" Marks with the same agreement are spread to the sides.");
    const most = Math.max(points.reduce((top, i) => Math.max(top, rows[i].loss), 0), lossLimit ?? 0, 0.1) * 1.04;
    const [least, utmost] = [Math.min(values[0], hardLimit ?? 1) - spread - 0.03, 1.03 + spread];
    const height = 400;
    const [left, right, top, bottom] = [46, 12, 14, 44];
    let places = [];
    let width = 0;
    const svg = drawn("svg", { role: "img", height });
    const here = drawn("circle", { class: "here", r: 8, visibility: "hidden" });

    function draw() {
      const now = Math.round(find("#plot").clientWidth);
      if (now === width || now < 100) return;
      width = now;
      const x = (value) => left + ((value - least) / (utmost - least)) * (width - left - right);
      const y = (value) => height - bottom - (value / most) * (height - top - bottom);
      const region = (name, from, to, low, high) =>
        drawn("rect", { class: `region ${name}`, x: x(from), y: y(high), width: x(to) - x(from), height: y(low) - y(high) });
      // Videos at the limit are hard: the line is drawn to the right of their spread marks.
      const edge = Number.isFinite(hardLimit) ? Math.min(hardLimit + 1.25 * spread, utmost) : least;
      const high = lossLimit ?? most;
      svg.replaceChildren(
        drawn("title", {}, `Agreement and loss of ${points.length} videos: ${PARTITIONS.map((p) => `${count(p)} ${p}`).join(", ")}. The numbers are in the table of all videos.`),
        region("clean", edge, utmost, 0, high),
      );
      if (edge > least) svg.append(region("hard", least, edge, 0, most), drawn("path", { class: "threshold", d: `M${x(edge)},${y(0)}V${top}` }));
      if (high < most) svg.append(region("noisy", edge, utmost, high, most), drawn("path", { class: "threshold", d: `M${x(edge)},${y(high)}H${width - right}` }));
      svg.append(drawn("path", { class: "axis", d: `M${left},${top}V${height - bottom}H${width - right}` }));
      const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((size) => most / size <= 8) ?? most;
      for (let tick = 0; tick <= most; tick += step)
        svg.append(drawn("text", { class: "soft", x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, String(Number(tick.toFixed(2)))));
      for (const tick of [0, 0.25, 0.5, 0.75, 1]) if (tick >= least)
        svg.append(drawn("text", { class: "soft", x: x(tick), y: height - bottom + 17, "text-anchor": "middle" }, String(tick)));
      svg.append(
        drawn("text", { x: (left + width) / 2, y: height - 8, "text-anchor": "middle" }, "clip agreement →"),
        drawn("text", { x: 14, y: (height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(height - bottom) / 2})` }, "loss →"),
      );
      places = points.map((i) => {
        const shift = spread * (((i * 0.618034) % 1) * 2 - 1); // golden ratio: evenly spread and reproducible
        return [x(rows[i].clip_agreement + shift), y(rows[i].loss), i];
      });
      // Drawn in turns, so that no group covers the others.
      for (let turn = 0; turn < 30; turn += 1) {
        for (const partition of PARTITIONS) {
          const d = places.filter(([, , i], k) => k % 30 === turn && rows[i].partition === partition)
            .map(([px, py]) => MARKS[partition](Number(px.toFixed(1)), Number(py.toFixed(1)))).join("");
          if (d) svg.append(drawn("path", { class: `marks ${partition}`, d }));
        }
      }
      if (edge > least) svg.append(drawn("text", { class: "title", x: x(least) + 8, y: top + 14 }, "hard"));
      if (high < most) svg.append(drawn("text", { class: "title", x: width - right - 6, y: top + 14, "text-anchor": "end" }, "noisy"));
      svg.append(drawn("text", { class: "title", x: width - right - 6, y: y(0) - 8, "text-anchor": "end" }, "clean"), here);
      here.setAttribute("visibility", "hidden");
    }

    function nearest(event) {
      const box = svg.getBoundingClientRect();
      const [px, py] = [event.clientX - box.left, event.clientY - box.top];
      let [hit, distance] = [null, 15 ** 2];
      for (const place of places) {
        const away = (place[0] - px) ** 2 + (place[1] - py) ** 2;
        if (away < distance) [hit, distance] = [place, away];
      }
      return hit;
    }
    svg.addEventListener("pointermove", (event) => {
      const hit = nearest(event);
      here.setAttribute("visibility", hit ? "visible" : "hidden");
      if (!hit) { find("#readout").textContent = "\u00A0"; return; }
      here.setAttribute("cx", hit[0]);
      here.setAttribute("cy", hit[1]);
      const row = rows[hit[2]];
      find("#readout").textContent = `${row.sample_id}: ${row.partition}, given ${row.given_label}, predicted ${row.predicted_label}, `
        + `agreement ${number(row.clip_agreement)}, loss ${number(row.loss)}, margin ${number(row.margin)}`;
    });
    svg.addEventListener("click", (event) => { const hit = nearest(event); if (hit) toRow(hit[2]); });
    find("#plot").append(svg);
    new ResizeObserver(draw).observe(find("#plot"));
    draw();
  }

  // -------------------------------------------------------------------------------------------------------------------

  restore();
  makeFilters();
  makeTable();
  makeCards();
  makeMap();
  filter();
  paintCounts();
  document.addEventListener("keydown", onKey);
  find("#undo").addEventListener("click", undo);
  find("#download").addEventListener("click", download);
  find("#clear").addEventListener("click", () => decide([...decisions.keys()].map((i) => [i, undefined])));
  find("#load").addEventListener("click", () => find("#file").click());
  find("#file").addEventListener("change", async (event) => {
    if (event.target.files.length) await load(event.target.files[0]);
    event.target.value = ""; // so that the same file can be chosen again
  });
  // Cards get their true height only when they are near, so the first jump over them misses: it is repeated.
  for (const link of document.querySelectorAll('a[href="#table"]'))
    link.addEventListener("click", () => requestAnimationFrame(() => requestAnimationFrame(() => find("#table").scrollIntoView())));
  for (const button of document.querySelectorAll(".more button")) button.addEventListener("click", () => { find(".more").open = false; });
  // Another tab with this page may decide, too: both show all decisions, and neither overwrites the other's.
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    restore();
    history.length = 0;
    document.querySelectorAll("[data-row]").forEach(paint);
    paintCounts();
  });
  addEventListener("beforeunload", (event) => { if (!stored && !saved && decisions.size) event.preventDefault(); });
})();

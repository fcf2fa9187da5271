"use strict";
(() => {
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const STATES = ["intact", "breach", "obscured", "unseen", "no_fence"];
const KINDS = ["breach", "access_point", "footpath", "plot"];
const COLOUR = { intact: "#0072b2", breach: "#d55e00", obscured: "#e69f00", unseen: "#7a7a7a", no_fence: "#000000",
  footpath: "#f0e442", access_point: "#cc79a7", plot: "#009e73" };
const DASH = { obscured: "9 5", unseen: "2 6", no_fence: "10 4 2 4" };
const WEIGHT = { intact: 3, breach: 7, obscured: 5, unseen: 4, no_fence: 2 };

// Words
let language = localStorageGet("fencewalk-language") || ((navigator.language || "").startsWith("zh") ? "zh" : "en");
const t = (key) => D.words[language][key] ?? D.words.en[key] ?? key;
const have = (key) => Object.hasOwn(D.words[language], key);
const SAID = {};
for (const [name, words] of Object.entries(D.words)) SAID[name] = words.said.map(([pattern, into]) => [new RegExp(pattern, "u"), into]);
// What the analysis says in its own words is English; names and lists of names are words of the page.
function say(sentence) {
  if (!sentence) return "";
  for (const [pattern, into] of SAID[language]) if (pattern.test(sentence)) return sentence.replace(pattern, into);
  return sentence.split(", ").map((part) => (have(part) ? t(part) : part)).join(language === "zh" ? "、" : ", ");
}
const cueName = (name) => (have(`cue_${name}`) ? t(`cue_${name}`) : t(name)).replaceAll("_", " ");
function localStorageGet(key) { try { return localStorage.getItem(key); } catch { return null; } }
function localStorageSet(key, value) { try { localStorage.setItem(key, value); } catch { /* a file opened without storage */ } }
const number = (value, digits) => value.toLocaleString(language === "zh" ? "zh-CN" : "en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const metres = (value) => value >= 1000 ? `${number(value / 1000, 2)} km` : `${number(value, value < 100 ? 1 : 0)} m`;
const percent = (value) => `${number(100 * value, 100 * value < 10 && value > 0 ? 1 : 0)} %`;
function station(m, decimals = 0) {
  const rounded = Number(m.toFixed(decimals)), sign = rounded < 0 ? "-" : "", size = Math.abs(rounded);
  const km = Math.floor(size / 1000), rest = (size - 1000 * km).toFixed(decimals).padStart(decimals ? 4 + decimals : 3, "0");
  return `${sign}K${km}+${rest}`;
}
function parseStation(text) {
  const match = /^\s*(?:[KkＫｋ]?\s*(\d{1,5})\s*[+＋]\s*(\d{1,3}(?:\.\d+)?))\s*$/.exec(text);
  return match ? 1000 * Number(match[1]) + Number(match[2]) : null;
}

// Elements
function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === "class") node.className = value;
    else if (key === "style") Object.assign(node.style, value);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

// The map
const map = L.map("map", { crs: L.CRS.Simple, zoomSnap: 0.25, zoomDelta: 0.5, wheelPxPerZoomLevel: 90, minZoom: -8, maxZoom: 8,
  attributionControl: false, preferCanvas: true, keyboard: false, zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches });
const toLatLng = ([x, y]) => [y, x];
const latLngs = (xy) => xy.map(toLatLng);
const box = ([w, s, e, n]) => L.latLngBounds([s, w], [n, e]);
L.control.scale({ imperial: false, maxWidth: 160 }).addTo(map);
map.createPane("ground").style.zIndex = 200;
map.createPane("fine").style.zIndex = 210;
const base = D.base.map((tile) => L.imageOverlay(tile.src, box(tile.b), { pane: "ground" }).addTo(map));
const fine = D.ground.map((tile) => ({ box: box(tile.b), src: tile.src, layer: null }));
let groundOn = true;
function showFine() {
  // Fine tiles are taken on and off as they come into view, so that a long road fits in memory.
  const view = map.getBounds().pad(0.2), pixels = Math.pow(2, map.getZoom()), wanted = groundOn && pixels > 0.8 / D.overview_pixel_m;
  for (const tile of fine) {
    const show = wanted && view.intersects(tile.box);
    if (show && !tile.layer) tile.layer = L.imageOverlay(tile.src, tile.box, { pane: "fine" }).addTo(map);
    else if (!show && tile.layer) { tile.layer.remove(); tile.layer = null; }
  }
}
map.on("moveend", showFine);
map.createPane("paths").style.zIndex = 410;
map.createPane("fence").style.zIndex = 420;
map.createPane("marks").style.zIndex = 430;
const renderers = {};
for (const name of ["paths", "fence", "marks"]) renderers[name] = L.canvas({ pane: name, padding: 0.3, tolerance: 6 });
const pieceLayers = [];
for (const piece of D.pieces) {
  const shape = latLngs(piece.xy);
  const under = L.polyline(shape, { renderer: renderers.fence, color: "#fff", weight: WEIGHT[piece.state] + 3, opacity: 0.75, lineCap: "butt", interactive: false });
  const over = L.polyline(shape, { renderer: renderers.fence, color: COLOUR[piece.state], weight: WEIGHT[piece.state], dashArray: DASH[piece.state], lineCap: "butt" });
  over.bindTooltip(() => pieceText(piece), { sticky: true });
  over.on("click", () => goTo(piece.line, (piece.a + piece.b) / 2, false));
  pieceLayers.push({ piece, layers: [under, over] });
}
function pieceText(piece) {
  const reason = piece.reason ? `${language === "zh" ? "，" : ", "}${say(piece.reason)}` : "";
  return text(`${t(piece.state)} ${station(piece.a, 1)} – ${station(piece.b, 1)} (${metres(piece.b - piece.a)})${reason} · ${percent(piece.conf)}`);
}
function text(value) { const span = document.createElement("span"); span.textContent = value; return span; }
function accessIcon(finding, on) {
  const size = on ? 30 : 22;
  const html = `<svg viewBox="0 0 22 22" width="${size}" height="${size}"><path d="M11 2 21 20H1Z" fill="${COLOUR.access_point}" stroke="${on ? "#0b5cad" : "#000"}" stroke-width="${on ? 3 : 1.4}"/></svg>`;
  return L.divIcon({ className: "access-icon", html, iconSize: [size, size], iconAnchor: [size / 2, size / 2] });
}
const findingLayers = new Map();
for (const finding of D.findings) {
  const options = { color: COLOUR[finding.kind], weight: 3 };
  let layers = [];
  if (finding.kind === "access_point") layers = [L.marker(toLatLng(finding.xy[0][0]), { icon: accessIcon(finding, false), keyboard: false })];
  else for (const line of finding.xy) {
    if (finding.kind === "plot") layers.push(L.polygon(latLngs(line), { renderer: renderers.paths, color: COLOUR.plot, weight: 2, fillOpacity: 0.15 }));
    else if (finding.kind === "footpath") {
      const dashes = finding.cls && finding.cls !== "footpath" ? "3 5" : null;
      layers.push(L.polyline(latLngs(line), { renderer: renderers.paths, color: "#000", weight: 5, opacity: 0.55, interactive: false }));
      layers.push(L.polyline(latLngs(line), { ...options, renderer: renderers.paths, weight: 2.5, dashArray: dashes }));
    } else layers.push(L.polyline(latLngs(line), { ...options, renderer: renderers.marks, weight: 12, opacity: 0.25 }));
  }
  for (const layer of layers) {
    layer.bindTooltip(() => text(`${titleOf(finding)} ${finding.station}`), { sticky: true });
    layer.on("click", () => select(finding, { zoom: false }));
  }
  findingLayers.set(finding.id, layers);
}
for (const way of D.crossings)
  L.polyline(latLngs(way.xy), { renderer: renderers.paths, color: COLOUR.access_point, weight: 3, dashArray: "4 6" })
    .bindTooltip(() => text(`${t("crossings")}: ${station(way.chainage)} · ${metres(way.length)} · ${percent(way.conf)}`), { sticky: true }).addTo(map);
let halo = null;
const key = L.control({ position: "topright" });
key.onAdd = () => { const node = el("div", { class: "map-key", id: "map-key" }); L.DomEvent.disableClickPropagation(node); return node; };
key.addTo(map);
const shownOnMap = { ground: true, lines: true, others: false };
const isOther = (finding) => Boolean(finding.cls) && finding.cls !== "footpath";
function drawKey() {
  const node = $("map-key"); node.replaceChildren();
  for (const name of Object.keys(shownOnMap)) {
    const input = el("input", { type: "checkbox", checked: shownOnMap[name], onchange: () => { shownOnMap[name] = input.checked; applyMapKey(); } });
    node.append(el("label", {}, input, t(name)));
  }
}
function applyMapKey() {
  groundOn = shownOnMap.ground;
  for (const layer of base) groundOn ? layer.addTo(map) : layer.remove();
  showFine(); refresh();
}

// The filter
const filter = { kind: new Set(), type: new Set(), state: new Set(), side: new Set(), status: new Set(), severity: 1, certain: 0, from: null, to: null };
function passes(finding) {
  return (shownOnMap.others || !isOther(finding)) && (!filter.kind.size || filter.kind.has(finding.kind)) && (!filter.type.size || filter.type.has(finding.type)) && (!filter.side.size || filter.side.has(finding.side)) &&
    (!filter.status.size || filter.status.has(finding.status)) && finding.sev >= filter.severity && finding.conf >= filter.certain &&
    (!filter.state.size || filter.state.has(finding.state)) && inRange(finding.a, finding.b);
}
function inRange(a, b) {
  if (filter.from === null && filter.to === null) return true;
  if (a === null) return false;
  return (filter.from === null || b >= filter.from) && (filter.to === null || a <= filter.to);
}
function chips(legend, values, set) {
  const group = el("fieldset", {}, el("legend", {}, t(legend)));
  for (const value of values) {
    const input = el("input", { type: "checkbox", checked: set.has(value), onchange: () => { input.checked ? set.add(value) : set.delete(value); refresh(); } });
    group.append(el("label", { class: "chipbox" }, input, t(value)));
  }
  return group;
}
function drawFilters() {
  const body = $("filter-body"); body.replaceChildren();
  const have = (name, order) => order.filter((value) => D.findings.some((finding) => finding[name] === value));
  body.append(chips("f_kind", have("kind", KINDS), filter.kind));
  const types = have("type", ["gap", "collapsed", "hole"]);
  if (types.length > 1) body.append(chips("f_type", types, filter.type));
  if (D.pieces.length) body.append(chips("f_state", STATES.filter((s) => D.pieces.some((p) => p.state === s)), filter.state));
  if (have("side", ["left", "right"]).length > 1 || D.lines.length > 1) body.append(chips("f_side", ["left", "right"], filter.side));
  const statuses = have("status", ["new", "changed", "persisting", "unconfirmed"]);
  if (statuses.length) body.append(chips("f_status", statuses, filter.status));
  const severity = el("select", { "aria-label": t("f_severity"), onchange: () => { filter.severity = Number(severity.value); refresh(); } },
    ...[1, 2, 3, 4, 5].map((level) => el("option", { value: level, selected: filter.severity === level }, level === 1 ? t("all") : `≥ ${level}`)));
  const certain = el("select", { "aria-label": t("f_confidence"), onchange: () => { filter.certain = Number(certain.value); refresh(); } },
    ...[0, 0.25, 0.5, 0.75, 0.9].map((level) => el("option", { value: level, selected: filter.certain === level }, level ? `≥ ${100 * level} %` : t("all"))));
  body.append(el("fieldset", {}, el("legend", {}, t("f_severity")), severity, " ", t("f_confidence"), " ", certain));
  const range = el("fieldset", {}, el("legend", {}, t("f_station")));
  for (const end of ["from", "to"]) {
    const input = el("input", { placeholder: t(end), "aria-label": t(end), value: filter[end] === null ? "" : station(filter[end]),
      onchange: () => { filter[end] = input.value.trim() ? parseStation(input.value) : null; input.setCustomValidity(input.value.trim() && filter[end] === null ? t("not_found") : ""); refresh(); } });
    range.append(input);
  }
  range.append(el("button", { type: "button", onclick: clearFilter }, t("clear")));
  if (D.lines.length) body.append(range);
}
function clearFilter() {
  for (const name of ["kind", "type", "state", "side", "status"]) filter[name].clear();
  Object.assign(filter, { severity: 1, certain: 0, from: null, to: null });
  drawFilters(); refresh();
}

// The list
let shown = [], selected = null, open = null;
const titleOf = (finding) => finding.type ? `${t("breach")}: ${t(finding.type)}` : finding.kind === "footpath" && finding.cls ? t(finding.cls) : t(finding.kind);
function sizeOf(finding) {
  const parts = [];
  if (finding.area) parts.push(`${number(finding.area, 0)} m²`);
  else if (finding.length !== null) parts.push(metres(finding.length));
  if (finding.width !== null && finding.kind === "footpath") parts.push(`${number(finding.width, 1)} m`);
  return parts.join(" × ");
}
function item(finding) {
  const where = [finding.station || `${finding.lat.toFixed(6)}, ${finding.lon.toFixed(6)}`, finding.side ? t(finding.side) : "", sizeOf(finding), percent(finding.conf)].filter(Boolean).join(" · ");
  const status = finding.status ? el("span", { class: `tag ${finding.status}` }, t(finding.status)) : null;
  const row = el("div", { class: "row" }, finding.chip ? el("img", { src: finding.chip, alt: "", decoding: "async" }) : el("div"),
    el("div", { class: "text" }, el("div", { class: "what" }, el("span", { class: `sev s${finding.sev}`, title: t("severity") }, String(finding.sev)), titleOf(finding), status),
      el("div", { class: "where" }, where), finding.next ? el("div", { class: "where" }, `→ ${t(finding.next)}`) : null));
  const node = el("li", { tabIndex: 0, "data-id": finding.id, onclick: (event) => { if (!event.target.closest(".more")) select(finding, { toggle: true }); },
    onkeydown: (event) => { if (event.key === "Enter" && event.target === node) { event.stopPropagation(); select(finding, { toggle: true }); } } }, row);
  if (selected === finding) node.classList.add("on");
  if (open === finding) node.append(details(finding));
  return node;
}
function details(finding) {
  const rows = [["id", finding.id], ["station", finding.a === null ? "" : `${station(finding.a, 1)}${finding.b - finding.a > 0.05 ? ` – ${station(finding.b, 1)}` : ""}`],
    ["route", [finding.route, finding.side ? t(finding.side) : ""].filter(Boolean).join(", ")], ["confidence", percent(finding.conf)], ["severity", `${finding.sev} / 5`],
    ["length", finding.length === null ? "" : metres(finding.length)], ["width", finding.width === null ? "" : `${number(finding.width, 2)} m`],
    ["crosses", finding.kind === "footpath" || finding.kind === "access_point" ? t(finding.crosses ? "yes" : "no") : ""],
    ["since", finding.status ? t(finding.status) : ""]];
  for (const [name, value] of Object.entries(finding.extra)) {
    if (value === null || value === "") continue;
    rows.push([name.replace(/_(m2|frac|deg|m)$/, ""), typeof value === "boolean" ? t(value ? "yes" : "no") : typeof value === "number" ? (name.endsWith("_frac") ? percent(value) : number(value, Number.isInteger(value) ? 0 : 2) + (name.endsWith("_m2") ? " m²" : name.endsWith("_deg") ? "°" : name.endsWith("_m") ? " m" : "")) : say(value)]);
  }
  const list = el("dl");
  for (const [name, value] of rows) if (value) list.append(el("dt", {}, t(name)), el("dd", {}, value));
  const place = `${finding.lat.toFixed(7)}, ${finding.lon.toFixed(7)}`;
  const copy = el("button", { type: "button", onclick: () => navigator.clipboard?.writeText(place).then(() => { copy.textContent = t("copied"); }) }, t("copy"));
  list.append(el("dt", {}, t("position")), el("dd", {}, place, " ", copy));
  const cues = Object.entries(finding.evidence);
  const most = Math.max(1, ...cues.map(([, value]) => Math.abs(value)));
  const bars = el("div", { class: "cues" });
  for (const [name, value] of cues) bars.append(el("span", {}, cueName(name)), el("div", {}, el("i", { style: { width: `${100 * Math.abs(value) / most}%` } })), el("span", {}, number(value, 2)));
  return el("div", { class: "more" }, finding.chip ? el("img", { src: finding.chip, alt: `${titleOf(finding)} ${finding.station}` }) : null,
    finding.next ? el("div", { class: "next" }, el("b", {}, `${t("next")}: `), t(finding.next)) : null, list, cues.length ? el("div", { class: "where" }, t("evidence")) : null, bars);
}
function refresh() {
  shown = D.findings.filter(passes);
  const ids = new Set(shown.map((finding) => finding.id));
  const list = $("list"); list.replaceChildren(...shown.map(item));
  $("shown").textContent = D.findings.length ? (shown.length ? `${shown.length} ${t("of")} ${D.findings.length} ${t("shown")}` : t("none")) : t("nothing");
  $("tab-findings").textContent = `${t("findings")} (${shown.length})`;
  for (const [id, layers] of findingLayers) for (const layer of layers) ids.has(id) ? layer.addTo(map) : layer.remove();
  for (const { piece, layers } of pieceLayers) {
    const show = shownOnMap.lines && (!filter.state.size || filter.state.has(piece.state)) && (!filter.side.size || filter.side.has(D.lines[piece.line].side)) && inRange(piece.a, piece.b);
    for (const layer of layers) show ? layer.addTo(map) : layer.remove();
  }
  drawStrip();
}
function select(finding, { zoom = true, toggle = false } = {}) {
  const closing = toggle && open === finding;
  selected = finding; open = closing ? null : finding;
  if (!shown.includes(finding)) clearFilter(); else refresh();
  tab("findings");
  document.querySelector(`#list li[data-id="${CSS.escape(finding.id)}"]`)?.scrollIntoView({ block: "nearest" });
  halo?.remove();
  const points = finding.xy.flat(), bounds = L.latLngBounds(latLngs(points));
  halo = finding.kind === "access_point" || finding.kind === "breach"
    ? L.circleMarker(bounds.getCenter(), { radius: 20, color: "#0b5cad", weight: 3, fill: false, interactive: false }).addTo(map)
    : L.polyline(latLngs(finding.xy[0]), { renderer: renderers.paths, color: "#0b5cad", weight: 8, opacity: 0.45, interactive: false }).addTo(map);
  if (zoom && !closing) map.fitBounds(bounds.pad(0.5), { maxZoom: 4.5, animate: false });
  if (finding.line !== null && finding.a !== null) showStrip(finding.line, (finding.a + finding.b) / 2);
}
function step(by) {
  if (!shown.length) return;
  const at = shown.indexOf(selected);
  select(shown[at < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.min(Math.max(at + by, 0), shown.length - 1)]);
}

// The strip
let stripLine = 0, pxPerM = 14, marks = [];
const STATE_H = 12, TICK_H = 18;
const imageHeight = () => Math.min(170, Math.max(70, 2 * D.strip_half_m * pxPerM));
function stripOptions() {
  const options = D.lines.map((line, index) => el("option", { value: index, selected: index === stripLine }, `${line.route} ${t(line.side)} ${station(line.start)} – ${station(line.end)}`));
  $("strip-line").replaceChildren(...options);
}
const filledTiles = new Set();
function drawStrip() {
  if (!D.lines.length) { $("strip-box").hidden = true; return; }
  const line = D.lines[stripLine], inner = $("strip-inner"), high = imageHeight();
  const across = high / (2 * D.strip_half_m);
  inner.replaceChildren(); filledTiles.clear(); marks = [];
  inner.style.width = `${(line.end - line.start) * pxPerM}px`;
  inner.style.height = `${high + STATE_H + TICK_H}px`;
  const left = (m) => `${(m - line.start) * pxPerM}px`;
  const outsideUp = line.side === "left";
  inner.append(el("span", { class: "sides", style: { top: "2px", position: "sticky" } }, `↑ ${t(outsideUp ? "outside" : "road")}  ↓ ${t(outsideUp ? "road" : "outside")}`));
  for (const piece of D.pieces) if (piece.line === stripLine)
    inner.append(el("div", { class: `state ${piece.state}`, title: pieceText(piece).textContent, style: { left: left(piece.a), width: `${(piece.b - piece.a) * pxPerM}px`, top: `${high}px` } }));
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((m) => m * pxPerM > 80);
  for (let m = Math.ceil(line.start / every) * every; m <= line.end; m += every)
    inner.append(el("span", { class: "tick", style: { left: left(m), top: `${high + STATE_H + 1}px` } }, station(m)));
  for (const finding of shown) if (finding.line === stripLine && finding.a !== null && (finding.kind === "breach" || finding.kind === "access_point")) {
    const wide = Math.max((finding.b - finding.a) * pxPerM, finding.kind === "breach" ? 5 : 9);
    inner.append(el("button", { type: "button", class: `mark ${finding.kind}${finding === selected ? " on" : ""}`, title: `${titleOf(finding)} ${finding.station}`, "aria-label": `${titleOf(finding)} ${finding.station}`,
      style: { left: `${((finding.a + finding.b) / 2 - line.start) * pxPerM - wide / 2}px`, width: `${wide}px`, top: "0", height: `${high}px` }, onclick: () => select(finding, {}) }));
  }
  fillStrip(); void across;
}
function fillStrip() {
  const view = $("strip"), line = D.lines[stripLine];
  if (!line) return;
  const from = line.start + view.scrollLeft / pxPerM, to = from + view.clientWidth / pxPerM;
  D.strips.forEach((tile, index) => {
    if (tile.line !== stripLine || tile.b < from - 60 || tile.a > to + 60 || filledTiles.has(index)) return;
    filledTiles.add(index);
    $("strip-inner").prepend(el("img", { src: tile.src, alt: "", draggable: false, style: { left: `${(tile.a - line.start) * pxPerM}px`, width: `${(tile.b - tile.a) * pxPerM + 0.5}px`, height: `${imageHeight()}px` } }));
  });
  $("strip-at").textContent = `${station(Math.max(from, line.start))} – ${station(Math.min(to, line.end))}`;
}
function showStrip(line, chainage) {
  if (line !== stripLine) { stripLine = line; stripOptions(); }
  drawStrip();
  const view = $("strip");
  view.scrollLeft = (chainage - D.lines[stripLine].start) * pxPerM - view.clientWidth / 2;
  fillStrip();
}
function zoomStrip(factor, aboutPx) {
  const view = $("strip"), line = D.lines[stripLine], about = aboutPx ?? view.clientWidth / 2;
  const chainage = line.start + (view.scrollLeft + about) / pxPerM;
  const least = Math.max(0.02, view.clientWidth / (line.end - line.start) * 0.9);
  pxPerM = Math.min(60, Math.max(Math.min(least, 60), pxPerM * factor));
  drawStrip();
  view.scrollLeft = (chainage - line.start) * pxPerM - about;
  fillStrip();
}
function pointAt(line, chainage) {
  const { xy, chain } = D.lines[line];
  let i = 1;
  while (i < chain.length - 1 && chain[i] < chainage) i++;
  const f = Math.min(1, Math.max(0, (chainage - chain[i - 1]) / (chain[i] - chain[i - 1] || 1)));
  return [xy[i - 1][0] + f * (xy[i][0] - xy[i - 1][0]), xy[i - 1][1] + f * (xy[i][1] - xy[i - 1][1])];
}
let pin = null;
function goTo(line, chainage, zoom = true) {
  const at = toLatLng(pointAt(line, chainage));
  pin?.remove();
  pin = L.circleMarker(at, { radius: 7, color: "#fff", weight: 3, fillColor: "#0b5cad", fillOpacity: 1, interactive: false }).addTo(map);
  pin.bindTooltip(text(station(chainage, 1)), { permanent: true, direction: "right", offset: [8, 0] });
  if (zoom) map.setView(at, Math.max(map.getZoom(), 3.5), { animate: false });
  showStrip(line, chainage);
}

// Totals, summary, about
function bar(shares, total) {
  const node = el("div", { class: "bar", role: "img", "aria-label": STATES.filter((s) => shares[s]).map((s) => `${t(s)} ${percent(shares[s] / total)}`).join(", ") });
  for (const state of STATES) if (shares[state]) node.append(el("i", { class: `state ${state}`, style: { flex: String(shares[state]) } }));
  return node;
}
function drawTotals() {
  const node = $("totals"); node.replaceChildren();
  const { metres: shares, length } = D.totals;
  if (!length) { node.append(el("div", {}, t("no_boundary"))); return; }
  const breaches = D.findings.filter((finding) => finding.kind === "breach").length;
  node.append(el("div", { class: "headline" }, el("b", {}, String(breaches)), ` × ${t("breach")}, ${metres(shares.breach || 0)}  ·  ${metres(length)} ${t("fence")}`), bar(shares, length));
  const legend = el("div", { class: "legend" });
  for (const state of STATES) if (shares[state]) legend.append(el("span", {}, el("i", { class: `swatch ${state}`, style: { borderColor: COLOUR[state] } }), `${t(state)} ${percent(shares[state] / length)}`));
  node.append(legend);
}
function stateTable(rows, heading) {
  const body = rows.map((row) => el("tr", row.go ? { "data-go": "", tabIndex: 0, onclick: row.go, onkeydown: (event) => { if (event.key === "Enter") row.go(); } } : {},
    el("td", {}, row.name), el("td", { class: "n" }, metres(row.length)), ...STATES.slice(0, 4).map((s) => el("td", { class: "n" }, row.metres[s] ? number(row.metres[s], 0) : "–")), el("td", {}, String(row.breaches)), el("td", {}, bar(row.metres, row.length))));
  return el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, t(heading)), el("th", {}, t("length")), ...STATES.slice(0, 4).map((s) => el("th", { title: `${t(s)}, m`, "aria-label": `${t(s)}, m` }, el("i", { class: `swatch ${s}`, style: { borderColor: COLOUR[s] } }))), el("th", { title: t("breach") }, "#"), el("th", {}))), el("tbody", {}, ...body));
}
function drawSummary() {
  const node = $("summary"); node.replaceChildren();
  if (!D.totals.length) { node.append(t("no_boundary")); return; }
  node.append(el("h2", {}, t("per_km")), stateTable(D.per_km.map((row) => ({ ...row, name: `${row.route} ${t(row.side)} ${station(row.a)}`, go: () => goTo(row.line, row.a) })), "kilometre"));
  if (D.per_district.length) node.append(el("h2", {}, t("per_district")), stateTable(D.per_district.map((row) => ({ ...row, name: row.name || t("no_district") })), "district"));
  const rows = D.pieces.filter((piece) => piece.next || piece.state === "no_fence");
  if (rows.length) node.append(el("h2", {}, t("stretches")), el("table", { class: "words" }, el("thead", {}, el("tr", {}, el("th", {}, t("station")), el("th", {}, t("length")), el("th", {}, t("f_state")), el("th", {}, t("reason")), el("th", {}, t("next")))),
    el("tbody", {}, ...rows.map((piece) => el("tr", { "data-go": "", tabIndex: 0, onclick: () => goTo(piece.line, (piece.a + piece.b) / 2), onkeydown: (event) => { if (event.key === "Enter") goTo(piece.line, (piece.a + piece.b) / 2); } },
      el("td", {}, `${D.lines[piece.line].route} ${t(D.lines[piece.line].side)} ${station(piece.a, 1)} – ${station(piece.b, 1)}`), el("td", { class: "n" }, metres(piece.b - piece.a)), el("td", { class: `n ${piece.state}` }, t(piece.state)), el("td", {}, say(piece.reason)), el("td", {}, piece.next ? t(piece.next) : ""))))));
  if (D.crossings.length) node.append(el("h2", {}, t("crossings")), el("table", {}, el("tbody", {}, ...D.crossings.map((way) => el("tr", { "data-go": "", onclick: () => map.fitBounds(L.latLngBounds(latLngs(way.xy)).pad(0.4)) },
    el("td", {}, `${way.route} ${station(way.chainage)}`), el("td", {}, metres(way.length)), el("td", {}, percent(way.conf)), el("td", {}, say(way.reason)))))));
  if (D.closed.length) node.append(el("h2", {}, t("closed")), el("table", {}, el("tbody", {}, ...D.closed.map((was) => el("tr", {}, el("td", {}, was.id), el("td", {}, t(was.type || was.kind)), el("td", {}, was.station), el("td", {}, t(was.status)))))));
}
function drawAbout() {
  const node = $("about"), list = (values) => el("ul", {}, ...values.map((value) => el("li", {}, value)));
  node.replaceChildren(el("h2", {}, t("about")), el("p", {}, t("legend_note")), el("p", {}, `${t("position_note")} ${D.crs}`), el("p", {}, `${t("analysed")} fencewalk ${D.version}. ${t("made")} ${D.made}.`),
    el("h2", {}, t("inputs")), list(D.inputs), ...(D.notes.length ? [el("h2", {}, t("notes")), list(D.notes.map(say))] : []), el("p", {}, t("licence")));
}
function tab(name) {
  for (const each of ["findings", "summary", "about"]) { $(each).hidden = each !== name; $(`tab-${each}`).setAttribute("aria-selected", String(each === name)); }
}
for (const each of ["findings", "summary", "about"]) $(`tab-${each}`).addEventListener("click", () => tab(each));

// Language, keys, jumps
const KEYS = [["j / k, ↓ / ↑", "k_next"], ["Enter", "k_open"], ["← / →", "k_strip"], ["+ / −", "k_zoom"], ["/", "k_station"], ["1 – 5", "k_severity"], ["c", "k_clear"], ["l", "k_language"], ["?", "k_help"]];
function speak() {
  document.documentElement.lang = language;
  const routes = [...new Set(D.lines.map((line) => line.route))].filter(Boolean).join(", ");
  document.title = [t("map_of"), routes || D.name].filter(Boolean).join(" · ");
  $("title").textContent = document.title;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  $("language").textContent = t("other"); $("language").lang = language === "en" ? "zh" : "en";
  document.querySelector("#keys table").replaceChildren(...KEYS.map(([keys, what]) => el("tr", {}, el("td", {}, ...keys.split(/( \/ |, | – )/).map((part) => /^( \/ |, | – )$/.test(part) ? part : el("kbd", {}, part))), el("td", {}, t(what)))));
  for (const [id, word] of [["map", "map"], ["strip-line", "which_fence"], ["strip-out", "narrower"], ["strip-in", "closer"], ["strip-fold", "fold"], ["strip", "strip"]]) $(id).setAttribute("aria-label", t(word));
  stripOptions(); drawTotals(); drawFilters(); drawSummary(); drawAbout(); drawKey(); refresh();
}
function otherLanguage() { language = language === "en" ? "zh" : "en"; localStorageSet("fencewalk-language", language); speak(); }
function jump(value) {
  const chainage = parseStation(value), said = $("jump-said");
  const here = D.lines[stripLine] && chainage !== null && inLine(D.lines[stripLine], chainage) ? stripLine : D.lines.findIndex((line) => chainage !== null && inLine(line, chainage));
  said.textContent = here < 0 ? t("not_found") : "";
  if (here >= 0) goTo(here, chainage);
}
const inLine = (line, chainage) => chainage >= line.start && chainage <= line.end;
$("language").addEventListener("click", otherLanguage);
$("print").addEventListener("click", () => window.print());
$("help").addEventListener("click", () => $("keys").showModal());
$("jump").addEventListener("submit", (event) => { event.preventDefault(); jump($("station").value); $("station").blur(); });
$("strip-line").addEventListener("change", (event) => { stripLine = Number(event.target.value); const line = D.lines[stripLine]; goTo(stripLine, line.start); });
$("strip").addEventListener("scroll", fillStrip);
$("strip").addEventListener("wheel", (event) => {
  if (event.ctrlKey) { event.preventDefault(); zoomStrip(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX); }
  else if (Math.abs(event.deltaY) > Math.abs(event.deltaX)) { event.preventDefault(); $("strip").scrollLeft += event.deltaY; }
}, { passive: false });
$("strip").addEventListener("dblclick", (event) => {
  const edge = $("strip-inner").getBoundingClientRect().left;
  goTo(stripLine, D.lines[stripLine].start + (event.clientX - edge) / pxPerM);
});
$("strip-in").addEventListener("click", () => zoomStrip(1.6));
$("strip-out").addEventListener("click", () => zoomStrip(1 / 1.6));
$("strip-fold").addEventListener("click", () => { const folded = $("strip").classList.toggle("folded"); $("strip-fold").textContent = folded ? "▴" : "▾"; $("strip-fold").setAttribute("aria-expanded", String(!folded)); map.invalidateSize(); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open || event.target.closest("input, select, textarea")) { if (event.key === "Escape") event.target.blur?.(); return; }
  const actions = { j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1), Enter: () => selected && !event.target.closest("button, li, tr") && select(selected, { toggle: true }),
    ArrowLeft: () => { $("strip").scrollLeft -= 120; }, ArrowRight: () => { $("strip").scrollLeft += 120; }, "+": () => zoomStrip(1.6), "=": () => zoomStrip(1.6), "-": () => zoomStrip(1 / 1.6),
    "/": () => $("station").focus(), l: otherLanguage, c: clearFilter, "?": () => $("keys").showModal() };
  if (/^[1-5]$/.test(event.key)) { filter.severity = Number(event.key); drawFilters(); refresh(); return; }
  const action = actions[event.key];
  if (!action || (event.key.startsWith("Arrow") && event.target.closest("[role=tabpanel]:not(#findings)"))) return;
  if (event.key !== "Enter") event.preventDefault();
  action();
});
window.addEventListener("resize", fillStrip);
window.addEventListener("beforeprint", () => { map.invalidateSize({ animate: false }); });

const whole = D.lines.length ? L.latLngBounds(D.lines.flatMap((line) => latLngs(line.xy))) : box(D.bounds);
map.fitBounds(whole.pad(0.08), { animate: false });
speak(); showFine();
})();

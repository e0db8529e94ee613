// The study page: its pictures, and the buttons that lead to a finding's place.

import { Archive, nameAndId } from "./archive.js";
import { Earlier } from "./earlier.js";
import { Evidence } from "./evidence.js";
import { Prompts } from "./similarity.js";
import { Stack } from "./stack.js";
import { answerWords } from "./words.js";
import { Viewport } from "./viewport.js";
import { CT_WINDOWS } from "./windows.js";

const page = document.querySelector("[data-study]");
const archive = new Archive(page.dataset.root);
const element = (id) => document.getElementById(id);
const status = element("status");

const viewport = new Viewport(element("picture"), ({ plane, index, length, window: [low, high], loaded, total }) => {
    status.textContent = `${plane} ${index + 1} of ${length} · window ${Math.round(low)} to ${Math.round(high)}` +
        (loaded < total ? ` · ${loaded} of ${total} slices fetched` : "");
    element("slice").max = length - 1;
    element("slice").value = index;
    element("picture").dataset.loaded = loaded === total ? "all" : String(loaded);
    for (const button of element("planes").children) button.setAttribute("aria-pressed", button.dataset.plane === plane);
});

function tell(error) {
    status.textContent = `No picture: ${error.message}`;
    status.classList.add("reason");
}

async function head() {
    const { patient, id, description, date } = await archive.heading(page.dataset.study);
    element("patient").textContent = nameAndId(patient, id) || "no name";
    element("description").textContent = [description, date].filter(Boolean).join(" · ");
}

function addWindows(stack) {
    const presets = stack.modality === "CT" ? CT_WINDOWS : {};
    const add = (name, range, title) => {
        const button = document.createElement("button");
        [button.textContent, button.title] = [name, title];
        button.addEventListener("click", () => viewport.setWindow(range()));
        element("windows").append(button);
    };
    for (const [name, range] of Object.entries(presets)) add(name, () => range, `${range.join(" to ")} HU`);
    add("1 to 99 %", () => stack.range(stack.values.findIndex(Boolean)), "From the 1st to the 99th percentile of a slice's values");
}

function addLegend(segmentation) {
    for (const { number, label, color } of segmentation.segments) {
        const [entry, box, swatch] = ["label", "input", "canvas"].map((name) => document.createElement(name));
        box.type = "checkbox";
        box.checked = true;
        box.addEventListener("change", () => { box.checked ? segmentation.shown.add(number) : segmentation.shown.delete(number); viewport.draw(); });
        [swatch.width, swatch.height] = [12, 12];
        const context = swatch.getContext("2d");
        context.fillStyle = `rgb(${color.join(" ")})`;
        context.fillRect(0, 0, 12, 12);
        entry.append(box, swatch, ` ${label}`);
        element("legend").append(entry);
    }
}

async function showSeries(uid) {
    const series = await archive.seriesId(page.dataset.study, uid);
    const stack = new Stack(archive, await archive.stack(series));
    addWindows(stack);
    await viewport.show(stack);
    const first = document.querySelector(".findings [data-jump]");
    if (first) jumpTo(first);
    const prompts = element("prompt") && new Prompts(element("prompt"), viewport, uid, showSegmentation);
    if (element("earlier")) new Earlier(element("earlier"), viewport, archive, (shown) => prompts?.showOn(shown.viewport, shown.series)).choose();
    if (element("evidence")) new Evidence(element("evidence"), viewport, uid);
    answerWords(element("words"), viewport);
    const marked = [...document.querySelectorAll("#kept [data-segmentation]")].map((entry) => entry.dataset.segmentation);
    for (const instance of [...JSON.parse(page.dataset.segmentations), ...marked.filter(Boolean)]) await showSegmentation(instance);
}

// The segments of a SEG on the slices that are shown, if they are of these.
async function showSegmentation(instance) {
    const segmentation = await archive.segmentation(instance);
    const isOfThese = ({ uid }) => segmentation.segments.some(({ number }) => segmentation.frameStart(number, uid) !== undefined);
    if (!viewport.stack.slices.some(isOfThese)) return;
    viewport.segmentations.push(segmentation);
    addLegend(segmentation);
    viewport.draw();
}

for (const button of element("planes").children) {
    button.addEventListener("click", () => viewport.stack && viewport.go(viewport.index[button.dataset.plane], button.dataset.plane));
}
element("slice").addEventListener("input", (event) => viewport.go(Number(event.target.value)));
element("fill").addEventListener("change", (event) => { viewport.filled = event.target.checked; viewport.draw(); });
element("reset").addEventListener("click", () => viewport.reset());
page.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-jump]");
    if (!button || !viewport.stack) return;
    jumpTo(button);
    element("picture").focus();
});

function jumpTo({ dataset: { jump } }) {
    const { sop_instance_uid: uid, point_lps_mm: point } = JSON.parse(jump);
    viewport.jump(uid, point);
}

// Links to the viewers that this Orthanc has as plugins.
async function addViewers() {
    const { study, root } = page.dataset;
    const uid = encodeURIComponent(page.dataset.uid);
    const known = {
        "orthanc-explorer-2": ["Orthanc Explorer 2", `ui/app/#/filtered-studies?StudyInstanceUID=${uid}`],
        ohif: ["OHIF", `ohif/viewer?StudyInstanceUIDs=${uid}`],
        "stone-webviewer": ["Stone", `stone-webviewer/index.html?study=${uid}`],
        volview: ["VolView", `volview/index.html?names=[archive.zip]&urls=[../studies/${study}/archive]`],
    };
    for (const name of await archive.json("plugins")) {
        if (!known[name]) continue;
        const link = document.createElement("a");
        [link.textContent, link.href] = [known[name][0], root + known[name][1]];
        element("viewers").append(" ", link);
    }
}

head().catch(tell);
addViewers().catch(() => null); // no list of plugins: no links
if (page.dataset.series) showSeries(page.dataset.series).catch(tell);

// Pointing at a place: what looks like it, a region cut from that, and keeping the region.

import { Grid, bytesOf, unpacked } from "./grid.js";
import { paintMask } from "./picture.js";

const COLORS = { 1: "#4cc38a", "-1": "#ff7b72" };
const REGION_COLOR = [120, 220, 255];
const FULL = 255;
const TOP_SHARE = 0.985; // where the cut stands at first: what is more alike than this share of the study
const CUT_PAUSE_MS = 120;
const AGAIN_MS = 1500;
const STRONGEST_ALPHA = 190;

export class Prompts {
    // section: the part of the page; series: UID of what the viewport shows; show: draws a SEG by its id in the archive
    constructor(section, viewport, series, show) {
        Object.assign(this, { section, viewport, series, show, points: [], maps: [], region: null, label: 0, round: 0, views: new Map() });
        const part = (name) => section.querySelector(`[data-part=${name}]`);
        this.hint = part("says").textContent;
        this.parts = Object.fromEntries(["labels", "clear", "threshold", "at", "map", "says", "keep"].map((name) => [name, part(name)]));
        const { labels, clear, threshold, map } = this.parts;
        for (const button of labels.children) button.addEventListener("click", () => this.choose(Number(button.dataset.label)));
        clear.addEventListener("click", () => this.clear());
        threshold.addEventListener("input", () => this.cutSoon());
        map.addEventListener("change", () => this.draw());
        this.parts.keep.addEventListener("submit", (event) => { event.preventDefault(); this.keep(); });
        this.showOn(viewport, series);
        viewport.topLayers.push((cut) => this.paintRegion(cut));
        section.hidden = false;
    }

    // Points and maps on one more viewport, which shows another series.
    showOn(viewport, series) {
        for (const [other, one] of this.views) if (one === viewport) this.views.delete(other);
        this.views.set(series, viewport);
        viewport.pick = (position, event) => this.point(series, position, event.shiftKey ? -this.label : this.label);
        viewport.layers.push((cut) => this.paintMap(series, cut));
    }

    draw() {
        for (const [series, viewport] of this.views) {
            viewport.marks = this.points.filter((point) => point.series === series)
                .map((point) => ({ position: point.point_lps_mm, color: COLORS[point.label] }));
            viewport.draw();
        }
    }

    choose(label) {
        this.label = this.label === label ? 0 : label;
        for (const button of this.parts.labels.children) button.setAttribute("aria-pressed", Number(button.dataset.label) === this.label);
    }

    clear() {
        Object.assign(this, { points: [], maps: [], region: null, round: this.round + 1 });
        for (const name of ["clear", "threshold"]) this.parts[name].disabled = true;
        this.parts.keep.hidden = true;
        this.say(this.hint);
        this.draw();
    }

    say(text) {
        this.parts.says.textContent = text;
    }

    async point(series, position, label) {
        if (!label) return;
        this.points.push({ series, point_lps_mm: position, label });
        // A region is cut from today's images, so its points come first.
        this.points.sort((one, other) => (other.series === this.series) - (one.series === this.series));
        this.draw();
        this.parts.clear.disabled = false;
        if (!this.points.some((point) => point.label === 1)) return this.say("Now point at what it should look like.");
        const started = performance.now();
        const answer = await this.ask("similarity", this.points);
        if (!answer) return;
        this.maps = answer.maps.map((map) => ({ ...map, grid: new Grid(map.affine, map.shape, bytesOf(map.values)) }));
        this.section.dataset.milliseconds = Math.round(performance.now() - started);
        this.draw();
        this.offerCut();
        await this.cut();
    }

    mapOf(series) {
        return this.maps.find((map) => map.series === series);
    }

    // The slider goes from what half of the study is alike to, up to what is the same.
    offerCut() {
        const { threshold } = this.parts;
        const sorted = this.mapOf(this.series).grid.values.slice().sort();
        const share = (part) => sorted[Math.floor(part * (sorted.length - 1))] / FULL;
        [threshold.min, threshold.max] = [Math.floor(100 * share(0.5)) / 100, 1];
        if (threshold.disabled) threshold.value = Math.min(0.99, share(TOP_SHARE));
        threshold.disabled = false;
    }

    cutSoon() {
        this.showThreshold();
        clearTimeout(this.soon);
        this.soon = setTimeout(() => this.cut(), CUT_PAUSE_MS);
    }

    showThreshold() {
        this.parts.at.textContent = Number(this.parts.threshold.value).toFixed(3);
    }

    async cut() {
        this.showThreshold();
        if (!this.points.some(({ series, label }) => series === this.series && label === 1)) {
            return this.say("The maps show what looks like it in both studies; point into today's images to cut a region there.");
        }
        const answer = await this.ask("cut", { points: this.points, threshold: Number(this.parts.threshold.value) });
        if (!answer) return;
        const { region } = answer;
        this.region = region && { ...region, grid: new Grid(region.affine, region.shape, unpacked(bytesOf(region.bits), region.shape.reduce((a, b) => a * b))) };
        this.parts.keep.hidden = !region;
        this.say(region ? describe(region) : "Nothing at the points is as alike as that; move the cut to the left.");
        this.draw();
    }

    // Has the region stored under its name, and says how far that is.
    async keep() {
        const { name, answer } = this.parts.keep.elements;
        const kept = { points: this.points, threshold: Number(this.parts.threshold.value), name: name.value };
        const response = await post(`${this.section.dataset.url}/regions`, kept);
        const said = await response.json().catch(() => ({}));
        if (!response.ok) {
            answer.textContent = response.status === 403 ? "you may not keep it" : `refused: ${said.detail?.[0]?.msg ?? said.detail ?? response.status}`;
            return;
        }
        const entry = listRegion(said);
        name.value = answer.textContent = "";
        this.clear();
        await follow(`${this.section.dataset.url}/regions`, entry, said, this.show);
    }

    // The answer to the latest question; null where a later one was asked meanwhile, or it was refused.
    async ask(route, question) {
        const round = ++this.round;
        for (;;) {
            const answer = await post(`${this.section.dataset.url}/${route}`, question);
            const said = await answer.json().catch(() => ({}));
            if (round !== this.round) return null;
            if (answer.status === 200) return said;
            if (answer.status === 202 || answer.status === 503) this.say(said.waiting ?? "Every worker is reading a study; asking again.");
            else {
                this.say(answer.status === 403 ? "You may look, but not point: that needs the role judge." : `Refused: ${said.detail ?? answer.status}`);
                return null;
            }
            await new Promise((done) => setTimeout(done, AGAIN_MS));
            if (round !== this.round) return null;
        }
    }

    paintMap(series, cut) {
        const map = this.mapOf(series);
        return map && this.parts.map.checked ? { image: paintHeat(cut, map.grid, Number(this.parts.threshold.min) * FULL), smooth: true } : null;
    }

    paintRegion(cut) {
        if (!this.region) return null;
        const image = new ImageData(cut.width, cut.height);
        const inside = new Uint8Array(cut.width * cut.height);
        const { grid } = this.region;
        grid.walk(cut, (k, s, r, c) => { inside[k] = grid.nearest(s, r, c); });
        paintMask(image, inside, REGION_COLOR, false);
        return { image, smooth: false };
    }
}

function post(url, content) {
    return fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
}

// A line of its own below "Marked regions", unless it has one.
function listRegion(region) {
    const section = document.getElementById("kept");
    const [entry, button, words] = ["li", "button", "small"].map((kind) => document.createElement(kind));
    button.textContent = region.name;
    button.dataset.jump = JSON.stringify({ sop_instance_uid: null, point_lps_mm: region.point_lps_mm });
    entry.append(button, " ", words);
    section.querySelector("ul").append(entry);
    section.hidden = false;
    tellState(entry, region);
    return entry;
}

function tellState(entry, { name, state, person, reason, measurements }) {
    const sizes = measurements.map((one) => `${one.name.replace(`${name} `, "")} ${one.value.toFixed(1)} ${one.unit.value}`);
    entry.dataset.state = state;
    entry.querySelector("small").textContent = [person ? `${state}, by ${person}` : state, sizes.join(", "), reason].filter(Boolean).join(": ");
}

// Until the region lies in the archive, or will not.
async function follow(url, entry, { name, point_lps_mm: point }, show) {
    for (;;) {
        await new Promise((done) => setTimeout(done, AGAIN_MS));
        const answer = await fetch(url).catch(() => null);
        const all = answer?.ok ? await answer.json() : [];
        const region = all.findLast((one) => one.name === name && String(one.point_lps_mm) === String(point));
        if (!region) continue;
        tellState(entry, region);
        if (region.segmentation) return show(region.segmentation);
        if (["failed", "superseded", "not-applicable"].includes(region.state)) return undefined;
    }
}

// From nothing at *low* to a full glow where the value is 255.
export function paintHeat(cut, grid, low) {
    const image = new ImageData(cut.width, cut.height);
    const pixels = new Uint32Array(image.data.buffer);
    const scale = 1 / Math.max(1, FULL - low);
    grid.walk(cut, (k, s, r, c) => {
        const heat = (grid.linear(s, r, c) - low) * scale;
        if (heat <= 0) return;
        const green = Math.round(90 + 150 * heat);
        pixels[k] = (Math.round(STRONGEST_ALPHA * heat * heat) << 24) | (30 << 16) | (green << 8) | 255;
    });
    return image;
}

function describe({ volume_ml: volume, long_axis_mm: long, short_axis_mm: short, longest_diameter_mm: diameter }) {
    return `Region: ${volume.toPrecision(3)} ml, ${long.toFixed(1)} x ${short.toFixed(1)} mm on its largest slice, longest diameter ${diameter.toFixed(1)} mm.`;
}

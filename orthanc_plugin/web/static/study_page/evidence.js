// Where a finding comes from: a layer over the slices, one finding at a time.

import { Grid, bytesOf } from "./grid.js";
import { paintHeat } from "./similarity.js";

const AGAIN_MS = 1500;

export class Evidence {
    // form: the part of the page that chooses; series: UID of what the viewport shows
    constructor(form, viewport, series) {
        Object.assign(this, { form, viewport, series, maps: null, shown: null, round: 0 });
        [this.choice, this.answer] = [form.querySelector("select"), form.querySelector("output")];
        this.choice.addEventListener("change", () => this.choose());
        viewport.layers.push((cut) => this.shown && { image: paintHeat(cut, this.shown.grid, 0), smooth: true });
    }

    async choose() {
        const round = ++this.round;
        this.say(null, "");
        if (!this.choice.value) return;
        try {
            this.maps ??= await this.fetch(round);
        } catch (error) {
            this.say(null, error.message);
        }
        if (!this.maps || round !== this.round) return;
        const { finding, head } = JSON.parse(this.choice.value);
        const map = this.maps.find((one) => one.finding === finding && one.head === head && one.series === this.series);
        if (!map) return this.say(null, "its head does not tell where it comes from");
        map.grid ??= new Grid(map.affine, map.shape, bytesOf(map.values));
        this.say(map, `the brighter, the more ${map.kind === "probability" ? "probable at that place, not calibrated" : "it adds to the finding's number"}`);
        this.viewport.jump(null, strongest(map));
    }

    say(shown, text) {
        this.shown = shown;
        this.answer.textContent = text;
        this.viewport.draw();
    }

    // Every map of the study; null where another choice was made meanwhile.
    async fetch(round) {
        for (;;) {
            const answer = await fetch(this.form.dataset.url);
            const said = await answer.json().catch(() => ({}));
            if (answer.status === 200) return said.maps;
            if (answer.status !== 202) throw new Error(`refused: ${said.detail ?? answer.status}`);
            this.say(null, said.waiting);
            await new Promise((done) => setTimeout(done, AGAIN_MS));
            if (round !== this.round) return null;
        }
    }
}

// LPS mm of the most central of the strongest places on the slice that has most in all.
function strongest({ affine, shape: [slices, rows, columns], grid: { values } }) {
    const size = rows * columns;
    const ofSlice = (slice) => values.subarray(slice * size, (slice + 1) * size);
    const sums = Array.from({ length: slices }, (_, slice) => ofSlice(slice).reduce((sum, value) => sum + value, 0));
    const fullest = sums.indexOf(Math.max(...sums));
    const largest = ofSlice(fullest).reduce((most, value) => Math.max(most, value), 0);
    const places = Array.from(ofSlice(fullest), (value, k) => [fullest, Math.floor(k / columns), k % columns, value]).filter(([, , , value]) => value === largest);
    const mean = [1, 2].map((axis) => places.reduce((sum, place) => sum + place[axis], 0) / places.length);
    const apart = ([, row, column]) => Math.hypot(row - mean[0], column - mean[1]);
    const central = places.reduce((best, place) => (apart(place) < apart(best) ? place : best));
    const index = [...central.slice(0, 3), 1];
    return affine.slice(0, 3).map((row) => row.reduce((sum, value, k) => sum + value * index[k], 0));
}

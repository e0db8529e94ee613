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
        this.say(map, map.kind === "probability" ? "probability before calibration" : "what adds to the score");
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

// LPS mm of the place with the largest value.
function strongest({ affine, shape: [, rows, columns], grid: { values } }) {
    const most = values.reduce((best, value, k) => (value > values[best] ? k : best), 0);
    const index = [Math.floor(most / (rows * columns)), Math.floor(most / columns) % rows, most % columns, 1];
    return affine.slice(0, 3).map((row) => row.reduce((sum, value, k) => sum + value * index[k], 0));
}

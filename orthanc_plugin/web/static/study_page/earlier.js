// An earlier study beside today's, in step with it: the same place of the patient, at the same scale.

import { inverse } from "./grid.js";
import { Stack } from "./stack.js";
import { Viewport } from "./viewport.js";

const IDENTITY = (position) => position;
const WORDS = {
    good: "aligned with today's",
    doubtful: "its alignment is doubtful",
    failed: "could not be aligned: by the position of the patient alone",
};

export class Earlier {
    // section: the part of the page; current: today's viewport; show: called with {viewport, series} for each that is shown
    constructor(section, current, archive, show) {
        Object.assign(this, { section, current, archive, show, toEarlier: IDENTITY, shown: null });
        this.choice = section.querySelector("select");
        this.status = section.querySelector("p");
        this.viewport = new Viewport(section.querySelector("canvas"), (state) => this.tell(state), current);
        this.choice.addEventListener("change", () => this.choose());
        current.followers.push(() => this.follow());
    }

    // What is chosen comes beside today's images; nothing, where nothing is.
    async choose() {
        this.shown = null;
        const described = this.choice.value && JSON.parse(this.choice.value);
        this.section.parentElement.classList.toggle("two", Boolean(described));
        this.section.querySelector("canvas").hidden = this.status.hidden = !described;
        this.current.draw();
        if (!described) return;
        this.status.textContent = "fetching the earlier slices";
        try {
            await this.open(described);
        } catch (error) {
            this.status.textContent = `No earlier picture: ${error.message}`;
        }
    }

    async open(described) {
        const { archive, viewport } = this;
        this.toEarlier = described.transform ? inverse(await archive.matrix(described.transform)) : IDENTITY;
        const stack = new Stack(archive, await archive.stack(await this.seriesId(described)));
        viewport.layers = [];
        await viewport.show(stack, this.current.whole);
        this.shown = described;
        this.show({ viewport, series: described.series });
        this.current.draw();
    }

    async seriesId({ studies, series }) {
        for (const study of studies) {
            const found = await this.archive.seriesId(study, series).catch(() => null);
            if (found) return found;
        }
        throw new Error("the earlier series is no longer in the archive");
    }

    async follow() {
        if (!this.shown) return;
        const { center, scale } = this.current.middle;
        const reaches = await this.viewport.showPlace(this.current.plane, this.toEarlier(center), scale, this.window());
        if (!reaches) this.status.textContent = "no earlier image of this place";
    }

    // Today's window for CT; for images without a scale, as far into their own range as today's is into its.
    window() {
        const { stack, window } = this.current;
        if (stack.modality === "CT") return window;
        const [[low, high], [own, top]] = [this.current.ownWindow, this.viewport.ownWindow];
        return window.map((value) => own + ((value - low) * (top - own)) / (high - low));
    }

    tell({ plane, index, length, loaded, total }) {
        if (!this.shown) return;
        this.status.textContent = `${plane} ${index + 1} of ${length} · ${WORDS[this.shown.verdict]}`;
        this.viewport.canvas.dataset.loaded = loaded === total ? "all" : String(loaded);
    }
}

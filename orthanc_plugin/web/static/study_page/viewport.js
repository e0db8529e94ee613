// The canvas: what is shown of a stack, how it is placed, and what keys, wheel and pointer do to it.

import { paintCut, paintMasks } from "./picture.js";
import { CT_WINDOWS } from "./windows.js";

const HELP = "Up, down or wheel: slice. Left and right drag: window and pan. Plus, minus: zoom. A, C, S: plane. O: overlay. F: fill. R: reset.";
const CLICK_PIXELS = 4;

export class Viewport {
    // tell: called with {plane, index, length, window, loaded} after each drawing
    // leader: the viewport that keys, wheel and pointer drive instead, where this one is kept in step with it
    constructor(canvas, tell, leader = null) {
        this.canvas = canvas;
        this.tell = tell;
        this.driven = leader ?? this;
        this.stack = null;
        this.segmentations = [];
        this.layers = []; // each paints {image, smooth} over a cut and below the segments, or nothing
        this.topLayers = []; // the same above them
        this.place = null; // {center, scale}: LPS mm in the middle of the canvas and its pixels a mm, instead of zoom and pan
        this.followers = []; // called after each drawing
        this.filled = true;
        this.overlay = true;
        this.marks = []; // {position, color}
        this.pick = null; // called with a place in LPS mm that was clicked, and the event
        canvas.title = HELP;
        canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.driven.step(Math.sign(event.deltaY)); }, { passive: false });
        canvas.addEventListener("keydown", (event) => this.key(event));
        canvas.addEventListener("pointerdown", (event) => this.drag(event));
        canvas.addEventListener("contextmenu", (event) => event.preventDefault());
        new ResizeObserver(() => this.draw()).observe(canvas);
    }

    // after: until when slices wait that are not needed yet
    async show(stack, after = null) {
        this.stack = stack;
        this.plane = stack.plane;
        this.index = Object.fromEntries(Object.keys(stack.planes()).map((name) => [name, Math.floor(stack.length(name) / 2)]));
        this.reset();
        await stack.load(this.index[this.plane]);
        this.window = stack.modality === "CT" ? CT_WINDOWS["soft tissue"] : stack.range(this.index[this.plane]);
        this.ownWindow = this.window;
        this.draw();
        this.whole = Promise.resolve(after).then(() => stack.loadAll(this.index[this.plane], () => this.draw()));
    }

    reset() {
        this.zoom = 1;
        this.pan = [0, 0];
        this.draw();
    }

    step(count) {
        if (this.stack) this.go(this.index[this.plane] + count);
    }

    async go(index, plane = this.plane) {
        this.plane = plane;
        this.index[plane] = Math.min(this.stack.length(plane) - 1, Math.max(0, index));
        if (plane === this.stack.plane) await this.stack.load(this.index[plane]);
        this.draw();
    }

    // To the slice of a finding, and a mark at its place.
    async jump(uid, position) {
        this.marks = position ? [{ position, color: "#ffd479" }] : [];
        if (position) {
            const { slice, row, column } = this.stack.indices(position);
            for (const [name, { through }] of Object.entries(this.stack.planes())) this.index[name] = { slice, row, column }[through];
        }
        await this.go(this.stack.indexOfUid.get(uid) ?? this.index[this.stack.plane], this.stack.plane);
    }

    // The plane nearest to a place, with the place in the middle of the canvas at a scale; false where no image reaches it.
    async showPlace(plane, center, scale, window) {
        const through = this.stack.planes()[plane]?.through;
        const index = through && this.stack.indices(center)[through];
        const reaches = index >= 0 && index < this.stack.length(plane);
        Object.assign(this, { place: { center, scale, reaches }, window });
        if (reaches) await this.go(index, plane);
        else this.draw();
        return reaches;
    }

    setWindow(range) {
        this.window = range;
        this.draw();
    }

    draw() {
        if (!this.stack || !this.window || this.pending) return;
        this.pending = requestAnimationFrame(() => { this.pending = 0; this.paint(); });
    }

    paint() {
        const { canvas, stack } = this;
        const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
        if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
        const cut = stack.cut(this.plane, this.index[this.plane]);
        const context = canvas.getContext("2d");
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.fillStyle = "black";
        context.fillRect(0, 0, width, height);
        this.placed = this.placing(cut, width, height);
        if (this.place && !this.place.reaches) return;
        const { sx, sy, left, top } = this.placed;
        context.setTransform(sx, 0, 0, sy, left, top);
        context.imageSmoothingEnabled = sx < 4;
        context.drawImage(offscreen(paintCut(stack, cut, this.window)), 0, 0);
        if (this.driven.overlay) for (const { image, smooth } of this.painted(cut)) {
            context.imageSmoothingEnabled = smooth;
            context.drawImage(offscreen(image), 0, 0);
        }
        context.setTransform(1, 0, 0, 1, 0, 0);
        this.write(context, cut, width, height);
        for (const mark of this.marks) this.mark(context, cut, mark);
        const [length, loaded] = [stack.length(this.plane), stack.values.filter(Boolean).length];
        this.tell({ plane: this.plane, index: this.index[this.plane], length, window: this.window, loaded, total: stack.slices.length });
        for (const follow of this.followers) follow();
    }

    // Where a cut lies on the canvas: its pixels' sides and its upper left corner.
    placing(cut, width, height) {
        const fit = Math.min(width / (cut.width * cut.pixelWidth), height / (cut.height * cut.pixelHeight)) * this.zoom;
        const scale = this.place?.scale ?? fit;
        const [sx, sy] = [scale * cut.pixelWidth, scale * cut.pixelHeight];
        if (!this.place) return { cut, scale, sx, sy, left: (width - sx * cut.width) / 2 + this.pan[0], top: (height - sy * cut.height) / 2 + this.pan[1] };
        const { x, y } = cut.find(this.stack.fractions(this.place.center));
        return { cut, scale, sx, sy, left: width / 2 - sx * (x + 0.5), top: height / 2 - sy * (y + 0.5) };
    }

    painted(cut) {
        const painted = (layers) => layers.map((paint) => paint(cut)).filter(Boolean);
        const maps = painted(this.layers);
        const filled = this.filled && !maps.length; // a fill would colour what a map says
        const masks = this.segmentations.map((one) => ({ image: paintMasks(this.stack, cut, one, filled), smooth: false }));
        return [...maps, ...masks, ...painted(this.topLayers)];
    }

    write(context, { letters }, width, height) {
        const size = 15 * devicePixelRatio;
        context.font = `600 ${size}px system-ui, sans-serif`;
        context.fillStyle = "#ffd479";
        context.textAlign = "center";
        context.fillText(letters.top, width / 2, size * 1.2);
        context.fillText(letters.bottom, width / 2, height - size * 0.6);
        context.fillText(letters.left, size, height / 2);
        context.fillText(letters.right, width - size, height / 2);
    }

    // A ring where a point lies, on the cut that holds it.
    mark(context, cut, { position, color }) {
        const place = this.stack.indices(position);
        if (place[cut.through] !== cut.index) return;
        const { x, y } = cut.find(place);
        const { sx, sy, left, top } = this.placed;
        context.beginPath();
        context.arc(left + sx * (x + 0.5), top + sy * (y + 0.5), 12 * devicePixelRatio, 0, 2 * Math.PI);
        for (const [style, width] of [["#000a", 5], [color, 2]]) { // dark below it, so that it is seen on a bright map too
            Object.assign(context, { strokeStyle: style, lineWidth: width * devicePixelRatio });
            context.stroke();
        }
    }

    key(event) {
        const { driven } = this;
        const planes = { a: "axial", c: "coronal", s: "sagittal" };
        const actions = {
            ArrowUp: () => driven.step(-1), ArrowDown: () => driven.step(1), PageUp: () => driven.step(-10), PageDown: () => driven.step(10),
            Home: () => driven.step(-1e6), End: () => driven.step(1e6),
            "+": () => driven.scale(1.25), "-": () => driven.scale(0.8), r: () => driven.reset(),
            Enter: () => this.choose(this.canvas.width / 2, this.canvas.height / 2, event),
            o: () => { driven.overlay = !driven.overlay; driven.draw(); }, f: () => { driven.filled = !driven.filled; driven.draw(); },
        };
        if (!this.stack || event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key in planes) driven.go(driven.index[planes[event.key]], planes[event.key]);
        else if (event.key in actions) actions[event.key]();
        else return;
        event.preventDefault();
    }

    scale(factor) {
        this.zoom = Math.min(20, Math.max(0.2, this.zoom * factor));
        this.draw();
    }

    // The place below a point of the canvas, to whoever wants to know.
    choose(left, top, event) {
        const { cut, x, y } = this.below(left, top);
        if (x < -0.5 || y < -0.5 || x > cut.width - 0.5 || y > cut.height - 0.5) return;
        this.pick?.(placeOf(cut, x, y), event);
    }

    // The pixel of the cut below a point of the canvas.
    below(left, top) {
        const { cut, sx, sy, left: x0, top: y0 } = this.placed;
        return { cut, x: (left - x0) / sx - 0.5, y: (top - y0) / sy - 0.5 };
    }

    // LPS mm in the middle of the canvas, and its pixels a mm.
    get middle() {
        const { cut, x, y } = this.below(this.canvas.width / 2, this.canvas.height / 2);
        return { center: placeOf(cut, x, y), scale: this.placed.scale };
    }

    // Left button: window (across its width, down its level); a click without a drag points at a place. Right button: pan.
    drag(start) {
        const { driven } = this;
        if (!driven.stack || !this.placed) return;
        const [low, high] = driven.window;
        const [x, y] = driven.pan;
        this.canvas.setPointerCapture(start.pointerId);
        const move = (event) => {
            const [dx, dy] = [event.clientX - start.clientX, event.clientY - start.clientY];
            if (start.button === 2) driven.pan = [x + dx * devicePixelRatio, y + dy * devicePixelRatio];
            else {
                const width = Math.max(1e-6, (high - low) * 2 ** (dx / 200));
                const level = (low + high) / 2 - (dy / 200) * (high - low);
                driven.window = [level - width / 2, level + width / 2];
            }
            driven.draw();
        };
        const end = (event) => {
            this.canvas.removeEventListener("pointermove", move);
            if (start.button === 2 || Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > CLICK_PIXELS) return;
            const box = this.canvas.getBoundingClientRect();
            this.choose((event.clientX - box.x) * devicePixelRatio, (event.clientY - box.y) * devicePixelRatio, event);
        };
        this.canvas.addEventListener("pointermove", move);
        this.canvas.addEventListener("pointerup", end, { once: true });
    }
}

function offscreen(image) {
    const canvas = new OffscreenCanvas(image.width, image.height);
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
}

// LPS mm of a pixel of a cut.
function placeOf({ place: { origin, across, down } }, x, y) {
    return origin.map((value, k) => value + x * across[k] + y * down[k]);
}

// Slices of a series in memory, fetched as they are needed, and cuts through them in three planes.

import { dot } from "./archive.js";
import { percentileWindow } from "./windows.js";

const AT_ONCE = 4;
const LETTERS = [["R", "L"], ["A", "P"], ["F", "H"]];

export class Stack {
    constructor(archive, description) {
        this.archive = archive;
        Object.assign(this, description);
        this.values = new Array(this.slices.length).fill(null);
        this.asked = new Map();
        this.indexOfUid = new Map(this.slices.map((slice, index) => [slice.uid, index]));
    }

    // Fetches a slice once; its values when they are there.
    load(index) {
        if (!this.asked.has(index)) {
            const fetched = this.archive.values(this.slices[index]).then(
                (values) => (this.values[index] = values),
                (error) => {
                    this.asked.delete(index);
                    throw error;
                },
            );
            this.asked.set(index, fetched);
        }
        return this.asked.get(index);
    }

    // Every slice, those nearest to *index* first, a few at a time; tells after each how many are there.
    async loadAll(index, tell) {
        const order = this.slices.map((_, k) => k).sort((a, b) => Math.abs(a - index) - Math.abs(b - index));
        const next = async () => {
            for (let k = order.shift(); k !== undefined; k = order.shift()) {
                await this.load(k);
                tell(this.values.filter(Boolean).length);
            }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, next));
    }

    // What the values of a slice that is there range over.
    range(index) {
        return percentileWindow(this.values[index], this.slices[index]);
    }

    get plane() {
        return ["sagittal", "coronal", "axial"][largest(this.normal)];
    }

    // The planes by name: what index steps through, and what runs across and down the picture.
    planes() {
        const axes = {
            slice: { direction: this.normal, length: this.slices.length, spacing: this.sliceSpacing },
            row: { direction: this.down, length: this.rows, spacing: this.rowSpacing },
            column: { direction: this.along, length: this.columns, spacing: this.columnSpacing },
        };
        const cuts = { slice: ["column", "row"], row: ["column", "slice"], column: ["row", "slice"] };
        const planes = {};
        for (const [through, [across, down]] of Object.entries(cuts)) {
            const name = ["sagittal", "coronal", "axial"][largest(axes[through].direction)];
            planes[name] = { through, across, down, axes };
        }
        return planes;
    }

    // A cut as {width, height, pixelWidth, pixelHeight, letters, line, find, place}. *line(y)* gives the slice that a line
    // of the picture lies in, the place of its first pixel there and the step to the next; *find* gives a voxel's x and y;
    // *place* is the way back to LPS mm: origin + x * across + y * down.
    cut(name, index) {
        const { through, across, down, axes } = this.planes()[name];
        const [horizontal, vertical] = [axes[across], axes[down]];
        // Left of the picture is the patient's right or front, its top the head or the front.
        const flipAcross = horizontal.direction[largest(horizontal.direction)] < 0;
        const main = largest(vertical.direction);
        const flipDown = main === 2 ? vertical.direction[2] > 0 : vertical.direction[main] < 0;
        const step = (flipAcross ? -1 : 1) * (across === "row" ? this.columns : 1);
        const first = flipAcross ? horizontal.length - 1 : 0;
        const line = (y) => {
            const voxel = { [through]: index, [across]: first, [down]: flipDown ? vertical.length - 1 - y : y };
            return { slice: voxel.slice, start: voxel.row * this.columns + voxel.column, step };
        };
        const find = (voxel) => ({
            x: flipAcross ? horizontal.length - 1 - voxel[across] : voxel[across],
            y: flipDown ? vertical.length - 1 - voxel[down] : voxel[down],
        });
        const corner = { [through]: index, [across]: first, [down]: flipDown ? vertical.length - 1 : 0 };
        const along = (direction, spacing, flip) => direction.map((value) => value * spacing * (flip ? -1 : 1));
        const place = {
            origin: this.position(corner),
            across: along(horizontal.direction, horizontal.spacing, flipAcross),
            down: along(vertical.direction, vertical.spacing, flipDown),
        };
        return {
            place, width: horizontal.length, height: vertical.length, pixelWidth: horizontal.spacing, pixelHeight: vertical.spacing,
            letters: letters(horizontal.direction, vertical.direction, flipAcross, flipDown), line, find, through, index,
        };
    }

    length(name) {
        const { through, axes } = this.planes()[name];
        return axes[through].length;
    }

    // LPS mm of the middle of a voxel.
    position({ slice, row, column }) {
        const corner = this.slices[slice].position;
        return corner.map((value, k) => value + row * this.rowSpacing * this.down[k] + column * this.columnSpacing * this.along[k]);
    }

    // Indices of a place in LPS mm.
    fractions(position) {
        const origin = this.slices[0].position;
        const from = position.map((value, k) => value - origin[k]);
        return {
            slice: dot(from, this.normal) / (this.sliceSpacing || 1),
            row: dot(from, this.down) / this.rowSpacing,
            column: dot(from, this.along) / this.columnSpacing,
        };
    }

    // The same on whole voxels.
    indices(position) {
        const { slice, row, column } = this.fractions(position);
        return { slice: Math.round(slice), row: Math.round(row), column: Math.round(column) };
    }
}

export function largest(vector) {
    return vector.reduce((best, value, k) => (Math.abs(value) > Math.abs(vector[best]) ? k : best), 0);
}

function letters(across, down, flipAcross, flipDown) {
    const ends = (direction, flip) => {
        const axis = largest(direction);
        const positive = direction[axis] > 0 !== flip;
        return positive ? LETTERS[axis] : [...LETTERS[axis]].reverse();
    };
    const [left, right] = ends(across, flipAcross);
    const [top, bottom] = ends(down, flipDown);
    return { left, right, top, bottom };
}

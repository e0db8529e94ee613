// Values on a grid of their own that lies anywhere in the patient, seen through a cut.

export const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

// Rows of (slice, row, column, 1) to LPS mm; gives what takes LPS mm back to (slice, row, column).
export function inverse(affine) {
    const [[a, b, c, x], [d, e, f, y], [g, h, i, z]] = affine;
    const [A, B, C] = [e * i - f * h, f * g - d * i, d * h - e * g];
    const determinant = a * A + b * B + c * C;
    const rows = [[A, c * h - b * i, b * f - c * e], [B, a * i - c * g, c * d - a * f], [C, b * g - a * h, a * e - b * d]];
    return ([p, q, r], isDirection = false) => {
        const [u, v, w] = isDirection ? [p, q, r] : [p - x, q - y, r - z];
        return rows.map(([k, l, m]) => (k * u + l * v + m * w) / determinant);
    };
}

export class Grid {
    // values: one for each place of the shape, slice by slice
    constructor(affine, shape, values) {
        this.shape = shape;
        this.values = values;
        this.indices = inverse(affine);
    }

    // Calls use(k, slice, row, column) for each pixel of a cut, with its fractional indices.
    walk({ place, width, height }, use) {
        const [start, across, down] = [this.indices(place.origin), this.indices(place.across, true), this.indices(place.down, true)];
        for (let y = 0, k = 0; y < height; y++) {
            let [s, r, c] = start.map((value, axis) => value + y * down[axis]);
            for (let x = 0; x < width; x++, k++) {
                use(k, s, r, c);
                s += across[0];
                r += across[1];
                c += across[2];
            }
        }
    }

    // Trilinear; beyond the outermost places their value goes on.
    linear(s, r, c) {
        const [slices, rows, columns] = this.shape;
        const clamp = (value, size) => Math.min(size - 1, Math.max(0, value));
        const [z, y, x] = [clamp(s, slices), clamp(r, rows), clamp(c, columns)];
        const [z0, y0, x0] = [Math.floor(z), Math.floor(y), Math.floor(x)];
        const [z1, y1, x1] = [Math.min(z0 + 1, slices - 1), Math.min(y0 + 1, rows - 1), Math.min(x0 + 1, columns - 1)];
        const [dz, dy, dx] = [z - z0, y - y0, x - x0];
        const line = (a, b) => {
            const from = (a * rows + b) * columns;
            return this.values[from + x0] * (1 - dx) + this.values[from + x1] * dx;
        };
        const plane = (a) => line(a, y0) * (1 - dy) + line(a, y1) * dy;
        return dz ? plane(z0) * (1 - dz) + plane(z1) * dz : plane(z0);
    }

    // Of the nearest place; 0 outside.
    nearest(s, r, c) {
        const [z, y, x] = [Math.round(s), Math.round(r), Math.round(c)];
        const [slices, rows, columns] = this.shape;
        const isInside = z >= 0 && y >= 0 && x >= 0 && z < slices && y < rows && x < columns;
        return isInside ? this.values[(z * rows + y) * columns + x] : 0;
    }
}

// One bit a voxel, the lowest of a byte first, to one byte a voxel.
export function unpacked(bytes, count) {
    return Uint8Array.from({ length: count }, (_, k) => (bytes[k >> 3] >> (k & 7)) & 1);
}

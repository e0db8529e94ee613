// A cut and its masks to pixels.

// Grey values of a cut; black where a slice is not there yet.
export function paintCut(stack, cut, [low, high]) {
    const image = new ImageData(cut.width, cut.height);
    const pixels = new Uint32Array(image.data.buffer).fill(0xff000000);
    const scale = 255 / (high - low);
    for (let y = 0; y < cut.height; y++) {
        const { slice, start, step } = cut.line(y);
        const values = stack.values[slice];
        if (!values) continue;
        const [slope, offset] = [stack.slices[slice].slope * scale, (stack.slices[slice].intercept - low) * scale];
        for (let x = 0, from = start, to = y * cut.width; x < cut.width; x++, from += step, to++) {
            const grey = Math.min(255, Math.max(0, values[from] * slope + offset));
            pixels[to] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
        }
    }
    return image;
}

// The masks of the segments that are on, as fills or outlines.
export function paintMasks(stack, cut, segmentation, filled) {
    const image = new ImageData(cut.width, cut.height);
    for (const { number, color } of segmentation.segments.filter((segment) => segmentation.shown.has(segment.number))) {
        paintMask(image, maskOfCut(stack, cut, segmentation, number), color, filled);
    }
    return image;
}

// inside: a byte for each pixel of the image
export function paintMask(image, inside, [red, green, blue], filled) {
    const { width, height } = image;
    const pixels = new Uint32Array(image.data.buffer);
    const color = (blue << 16) | (green << 8) | red;
    for (let y = 0, k = 0; y < height; y++) {
        for (let x = 0; x < width; x++, k++) {
            if (!inside[k]) continue;
            const isEdge = !x || !y || x === width - 1 || y === height - 1 ||
                !inside[k - 1] || !inside[k + 1] || !inside[k - width] || !inside[k + width];
            if (filled || isEdge) pixels[k] = ((isEdge ? 255 : 90) << 24) | color;
        }
    }
}

// Index of the slice that has most of a segment; undefined where none has any of it.
export function fullestSlice(stack, { pixels, frameStart }, number) {
    const bytes = Math.ceil((stack.rows * stack.columns) / 8);
    let [best, most] = [undefined, 0];
    for (const [index, { uid }] of stack.slices.entries()) {
        const frame = frameStart(number, uid);
        if (frame === undefined) continue;
        const filled = pixels.subarray(frame >> 3, (frame >> 3) + bytes).reduce((count, byte) => count + (byte !== 0), 0);
        if (filled > most) [best, most] = [index, filled];
    }
    return best;
}

function maskOfCut(stack, cut, { pixels, frameStart }, number) {
    const inside = new Uint8Array(cut.width * cut.height);
    for (let y = 0; y < cut.height; y++) {
        const { slice, start, step } = cut.line(y);
        const frame = frameStart(number, stack.slices[slice].uid);
        if (frame === undefined) continue;
        // Eight pixels a byte, the lowest bit first (PS3.5 section 8.1.1).
        for (let x = 0, bit = frame + start, to = y * cut.width; x < cut.width; x++, bit += step, to++) {
            inside[to] = (pixels[bit >> 3] >> (bit & 7)) & 1;
        }
    }
    return inside;
}

// Windows: what range of values goes from black to white.

export const CT_WINDOWS = { "soft tissue": [-160, 240], lung: [-1350, 150], bone: [-450, 1050], brain: [0, 80], liver: [-40, 160] };

// For images without a scale of their own: a slice's 1st and 99th percentile, from a sample of its values.
export function percentileWindow(values, { slope, intercept }) {
    const step = Math.max(1, Math.floor(values.length / 20_000));
    const sample = values.filter((_, k) => k % step === 0).sort();
    const [low, high] = [sample[Math.floor(0.01 * (sample.length - 1))], sample[Math.floor(0.99 * (sample.length - 1))]];
    const [bottom, top] = [low * slope + intercept, high * slope + intercept];
    return [bottom, Math.max(top, bottom + 1e-6)];
}

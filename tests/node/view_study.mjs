// What a browser shows of a study in OHIF, as JSON:
// node view_study.mjs PATH_TO_PUPPETEER BROWSER URL STUDY_INSTANCE_UID PICTURES STEPS
// STEPS is JSON, [[name, start of a series description, text that tells that it is open, how many of its findings to
// skip], ...]; an empty text waits until the network rests. Each step gives the page's text, a picture, and what the viewport draws, in LPS mm.
import { createRequire } from "node:module";

const [library, executablePath, url, study, pictures, steps] = process.argv.slice(2);
const puppeteer = createRequire(import.meta.url)(library);
// A machine without a GPU draws WebGL in software.
const args = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"];
const browser = await puppeteer.launch({ executablePath, args, defaultViewport: { width: 1400, height: 900 } });
const page = await browser.newPage();
page.setDefaultTimeout(90_000);

const uncaught = [];
page.on("pageerror", (error) => uncaught.push(String(error)));

const text = () => page.evaluate(() => document.body.innerText);
// OHIF draws a report's outlines and their text with the next picture of the slice, and on a slow machine none comes by itself.
function appearsOnceDrawn(wanted) {
    if (document.body.innerText.includes(wanted)) return true;
    for (const engine of window.cornerstone?.getRenderingEngines() ?? []) engine.render();
    return false;
}
const textAppears = (wanted) => page.waitForFunction(appearsOnceDrawn, { polling: 1000 }, wanted);
const picture = (name) => page.screenshot({ path: `${pictures}/${name}.png` });

// The boxes (lowest, highest) around coloured pixels, the CT being grey, and around each outline, in LPS mm.
function drawn() {
    const viewport = window.cornerstone?.getRenderingEngines()?.[0]?.getViewports()[0];
    const canvas = viewport?.getCanvas();
    if (!canvas) return null;
    const box = (points) => {
        const world = points.map((point) => Array.from(viewport.canvasToWorld(point)));
        return world.length ? [Math.min, Math.max].map((end) => [0, 1, 2].map((axis) => end(...world.map((p) => p[axis])))) : null;
    };
    const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let k = 0; k < data.length / 4; k++) {
        const [red, , blue] = data.subarray(4 * k, 4 * k + 3);
        if (Math.abs(red - blue) < 24) continue;
        const [x, y] = [k % width, Math.floor(k / width)];
        [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
    }
    const shapes = [...viewport.element.querySelectorAll("svg.svg-layer polyline, svg.svg-layer path")];
    const points = (shape) => (shape.getAttribute("points") ?? shape.getAttribute("d")).match(/-?[\d.]+/g).map(Number);
    const pairs = (numbers) => numbers.flatMap((x, k) => (k % 2 ? [] : [[x, numbers[k + 1]]]));
    return {
        colored: left <= right ? box([[left, top], [right + 1, bottom + 1]]) : null,
        outlines: shapes.map((shape) => box(pairs(points(shape)))),
    };
}

async function open(name, description, wanted, skipped = 0) {
    const thumbnail = (start) =>
        [...document.querySelectorAll('[data-cy^="study-browser-thumbnail"]')].find((element) =>
            element.innerText.includes(start),
        );
    const series = await page.waitForFunction(thumbnail, {}, description);
    await series.asElement().click({ count: 2 });
    for (const button of name === "SEG" ? ["yes-hydrate-btn", "panelSegmentation-btn"] : []) {
        await (await page.waitForSelector(`[data-cy="${button}"]`)).click();
    }
    for (let k = 0; k < skipped; k++) {
        await page.waitForNetworkIdle({ idleTime: 500 });
        await (await page.waitForSelector('[data-cy="viewport-action-arrows-right"] svg')).click();
    }
    await textAppears(wanted);
    await page.waitForNetworkIdle({ idleTime: 500 });
    await picture(name);
    return { text: await text(), drawn: await page.evaluate(drawn) };
}

try {
    await page.goto(url);
    await textAppears("CT\\");
    const list = await text();
    await picture("list");
    await page.goto(`${url}/viewer?StudyInstanceUIDs=${study}`);
    await page.waitForSelector('[data-cy="study-browser-thumbnail"]');
    await page.locator("::-p-text(Skip all)").click();
    await page.waitForNetworkIdle({ idleTime: 500 });
    await picture("study");
    const opened = {};
    for (const step of JSON.parse(steps)) {
        opened[step[0]] = await open(...step).catch((error) => {
            throw new Error(`step ${JSON.stringify(step)} failed: ${error.message}`, { cause: error });
        });
    }
    process.stdout.write(JSON.stringify({ list, opened, uncaught }));
} catch (error) {
    await picture("failure");
    throw error;
} finally {
    await browser.close();
}

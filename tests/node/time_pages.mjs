// How long the pages take in a browser, as JSON: node time_pages.mjs PATH_TO_PUPPETEER BROWSER URL ORTHANC_STUDY_ID PICTURES
import { createRequire } from "node:module";

const [library, executablePath, url, study, pictures] = process.argv.slice(2);
const puppeteer = createRequire(import.meta.url)(library);
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"], defaultViewport: { width: 1300, height: 1100 } });
const page = await browser.newPage();
page.setDefaultTimeout(300_000);
const uncaught = [];
page.on("pageerror", (error) => uncaught.push(String(error)));
page.on("console", (message) => message.type() === "error" && uncaught.push(message.text()));
const picture = (name) => page.screenshot({ path: `${pictures}/${name}.png` });

// Milliseconds from a deed until the page has drawn what came of it.
const timed = (deed) => page.evaluate(`new Promise((done) => {
    const started = performance.now();
    (${deed})();
    requestAnimationFrame(() => setTimeout(() => done(Math.round(performance.now() - started))));
})`);
const seen = {};
try {
    let started = Date.now();
    await page.goto(`${url}/curia/worklist`);
    await page.waitForFunction(() => document.getElementById("count").textContent);
    seen.list = { interactive_ms: Date.now() - started };
    await page.waitForFunction(() => document.querySelector(".patient").textContent);
    seen.list.first_name_ms = Date.now() - started;
    await page.waitForFunction(() => !document.getElementById("studies").dataset.whole);
    seen.list.all_rows_ms = Date.now() - started;
    seen.list.rows = await page.$eval("#count", (output) => output.textContent);
    seen.list.search_ms = await timed(() => { const input = document.getElementById("search"); input.value = "mass name"; input.dispatchEvent(new Event("input")); });
    seen.list.search_cleared_ms = await timed(() => { const input = document.getElementById("search"); input.value = ""; input.dispatchEvent(new Event("input")); });
    seen.list.sort_ms = await timed(() => document.querySelectorAll("#studies th button")[4].click());
    await picture("work list of 5000");

    started = Date.now();
    await page.goto(`${url}/curia/studies/${study}`);
    await page.waitForFunction(() => document.getElementById("status").textContent.startsWith("axial"));
    seen.study = { first_slice_ms: Date.now() - started };
    await page.waitForFunction(() => document.querySelector("#earlier p").textContent.startsWith("axial"));
    seen.study.earlier_slice_ms = Date.now() - started;
    const frames = (steps) => page.evaluate(async (steps) => {
        const canvas = document.getElementById("picture");
        const times = [];
        const next = () => new Promise((done) => requestAnimationFrame(done));
        let last = await next();
        for (let k = 0; k < steps; k++) {
            canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: 100, cancelable: true }));
            const now = await next();
            times.push(now - last);
            last = now;
        }
        times.sort((a, b) => a - b);
        const share = (part) => Math.round(10 * times[Math.floor(part * (times.length - 1))]) / 10;
        return { median_ms: share(0.5), p95_ms: share(0.95), longest_ms: share(1) };
    }, steps);
    seen.study.frames_while_fetching = await frames(100);
    await page.waitForSelector('#picture[data-loaded="all"]');
    seen.study.all_slices_ms = Date.now() - started;
    await page.waitForSelector('#earlier canvas[data-loaded="all"]');
    seen.study.frames = await frames(200);
    seen.study.status = await page.$eval("#status", (element) => element.textContent);
    seen.study.earlier = await page.$eval("#earlier p", (element) => element.textContent);
    await page.focus("#picture");
    await page.keyboard.press("c");
    seen.study.frames_coronal = await frames(100);
    seen.study.heap_mb = Math.round((await page.metrics()).JSHeapTotalSize / 1e6);
    await picture("study of 1000");
    process.stdout.write(JSON.stringify({ ...seen, uncaught }));
} catch (error) {
    await picture("failure");
    process.stderr.write(`${JSON.stringify(seen)}\n${uncaught.join("\n")}\n`);
    throw error;
} finally {
    await browser.close();
}

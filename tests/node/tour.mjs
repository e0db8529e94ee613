// Pictures of what a reader of the tour sees of our own pages:
// node tour.mjs PATH_TO_PUPPETEER BROWSER ORTHANC_URL USER PASSWORD CHEST THIGH PICTURES (studies by Orthanc's ids)
import { createRequire } from "node:module";

const [library, executablePath, url, username, password, chest, thigh, pictures] = process.argv.slice(2);
const puppeteer = createRequire(import.meta.url)(library);
const view = { width: 1200, height: 1400 };
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"], defaultViewport: view });
const page = await browser.newPage();
page.setDefaultTimeout(90_000);
await page.authenticate({ username, password });

const frame = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

// The page from the top edge of the first element to the bottom edge of the second, over its whole width.
async function picture(name, first = "body", last = "body") {
    await frame();
    const edge = (selector, side) =>
        page.$eval(selector, (element, side) => element.getBoundingClientRect()[side] + window.scrollY, side);
    const [top, bottom] = [(await edge(first, "top")) - 8, (await edge(last, "bottom")) + 12];
    const clip = { x: 0, y: Math.max(top, 0), width: view.width, height: bottom - Math.max(top, 0) };
    await page.screenshot({ path: `${pictures}/${name}.png`, clip });
}

async function open(study) {
    await page.goto(`${url}/curia/studies/${study}`);
    await page.waitForSelector('#picture[data-loaded="all"]');
    await page.waitForSelector("#legend input");
}

try {
    await page.goto(`${url}/curia/worklist`);
    await page.waitForFunction(() => document.querySelector(".patient")?.textContent);
    await picture("work-list", "body", "table");

    await open(chest);
    await picture("study-page", "body", "#legend");

    await open(thigh);
    await page.click("[data-jump]");
    await picture("finding", "#picture", "#legend");
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
    await page.select("#evidence select", await page.$eval("#evidence select", (choice) => choice.options[1].value));
    await page.waitForFunction(() => document.querySelector("#evidence output").textContent.startsWith("the brighter"));
    await picture("heat-map", "article", "#picture");
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);

    // The vertebra of the middle slice, with the heads' own segments out of the way.
    await open(chest);
    await page.$$eval("#legend input", (boxes) => boxes.forEach((box) => box.click()));
    await page.click('#prompt [data-label="1"]');
    const shown = await page.$eval("#picture", (canvas) => canvas.getBoundingClientRect().toJSON());
    await page.mouse.click(shown.x + 0.487 * shown.width, shown.y + 0.73 * shown.height);
    await page.waitForFunction(() => document.querySelector("#prompt [data-part=says]").textContent.startsWith("Region"));
    await picture("looks-alike", "#prompt", "#picture");
} catch (error) {
    await page.screenshot({ path: `${pictures}/failure.png` });
    throw error;
} finally {
    await browser.close();
}

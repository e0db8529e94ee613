// Pictures of what a reader of the tour sees of our own pages:
// node tour.mjs PATH_TO_PUPPETEER BROWSER ORTHANC_URL USER PASSWORD ORTHANC_STUDY_ID PICTURES
import { createRequire } from "node:module";

const [library, executablePath, url, username, password, study, pictures] = process.argv.slice(2);
const puppeteer = createRequire(import.meta.url)(library);
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"], defaultViewport: { width: 1200, height: 900 } });
const page = await browser.newPage();
page.setDefaultTimeout(90_000);
await page.authenticate({ username, password });
const picture = (name, clip) => page.screenshot({ path: `${pictures}/${name}.png`, clip });
const frame = () => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

try {
    await page.goto(`${url}/curia/worklist`);
    await page.waitForFunction(() => document.querySelector(".patient")?.textContent);
    await picture("work-list", { x: 0, y: 0, width: 1200, height: 420 });

    await page.goto(`${url}/curia/studies/${study}`);
    await page.waitForSelector('#picture[data-loaded="all"]');
    await page.waitForSelector("#legend input");
    await page.click("[data-jump]");
    await frame();
    await page.evaluate(() => window.scrollTo(0, 0));
    await picture("study-page");

    // A place beside what a head found, so that the region is one that nobody was told of.
    await page.click('#prompt [data-label="1"]');
    const shown = await page.$eval("#picture", (canvas) => canvas.getBoundingClientRect().toJSON());
    await page.mouse.click(shown.x + 0.5 * shown.width, shown.y + 0.5 * shown.height);
    await page.waitForFunction(() => document.querySelector("#prompt [data-part=says]").textContent.startsWith("Region"));
    await frame();
    await page.evaluate(() => window.scrollTo(0, 0));
    await picture("looks-alike");
} catch (error) {
    await picture("failure");
    throw error;
} finally {
    await browser.close();
}

// docs/api.html on a phone and on a desk, by day and by night: all of it is there, nothing has to be scrolled sideways, and it can be read.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const page = pathToFileURL(resolve(here, "../../docs/api.html")).href;
const pictures = process.env.PICTURES;
let browser;

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
});
after(() => browser?.close());

// WCAG 2.2, 1.4.3
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, other) => {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
};

for (const [name, width, height] of [["phone", 360, 740], ["desk", 1280, 900]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`the reference can be read on a ${name}, ${colorScheme}`, async () => {
      const context = await browser.newContext({ viewport: { width, height }, colorScheme });
      const view = await context.newPage();
      const foreign = [];
      view.on("request", (request) => request.url().startsWith("file:") || foreign.push(request.url()));
      await view.goto(page);
      if (pictures) {
        mkdirSync(pictures, { recursive: true });
        await view.screenshot({ path: `${pictures}/reference-${name}-${colorScheme}.png` });
      }
      const seen = await view.evaluate(() => {
        // A canvas turns any way to write a colour into bytes.
        const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        const rgb = (color) => {
          pixel.fillStyle = color;
          pixel.fillRect(0, 0, 1, 1);
          return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const color = (selector) => rgb(getComputedStyle(document.querySelector(selector)).color);
        return {
          sideways: document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth,
          title: document.querySelector("h1").getBoundingClientRect().top,
          size: parseFloat(getComputedStyle(document.body).fontSize),
          paper: rgb(getComputedStyle(document.body).backgroundColor),
          inks: ["body", "main a", "b.get", "b.post", "b.put", "b.delete", "main i"].map(color),
          dead: [...document.querySelectorAll('a[href^="#"]')].map((a) => a.getAttribute("href").slice(1)).filter((id) => !document.getElementById(id)),
        };
      });
      assert.deepEqual(foreign, [], "one file and nothing from elsewhere");
      assert.deepEqual(seen.dead, [], "every link leads somewhere");
      assert.ok(seen.sideways <= 0, `${seen.sideways} px to scroll sideways`);
      assert.ok(seen.title < height, `the title is at ${seen.title}`);
      assert.ok(seen.size >= 16);
      assert.equal(luminance(seen.paper) < 0.2, colorScheme === "dark");
      for (const ink of seen.inks) assert.ok(contrast(ink, seen.paper) >= 4.5, `${ink} on ${seen.paper}`);
      await context.close();
    });
  }
}

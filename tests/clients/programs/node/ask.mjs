// As ask.py: node ask.mjs PROGRAM ANSWERS, with the calls as JSON on stdin.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [program, answers] = process.argv.slice(2);
const module = await import(pathToFileURL(program));
const told = [];
for (const [name, given] of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    told.push({ returned: await module[name](given) });
  } catch (error) {
    told.push({ raised: error.constructor.name, message: error.message });
  }
}
writeFileSync(answers, JSON.stringify(told));

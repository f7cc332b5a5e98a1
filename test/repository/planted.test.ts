// The mistakes that `npm run sim:mutations` plants can be planted: the lines that they change are there.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { planted } from "../../sim/planted.ts";
import { plantedMoves } from "../../sim/planted-moves.ts";
import { plantedTime } from "../../sim/planted-time.ts";
import { root } from "./source-file.ts";

test("every mistake has its lines, once", () => {
  const lost = [...planted, ...plantedMoves, ...plantedTime].flatMap(({ name, edits }) =>
    edits
      .filter(({ file, from }) => readFileSync(join(root, file), "utf8").split(from).length !== 2)
      .map(({ file }) => `${name}: ${file}`),
  );
  expect(lost).toEqual([]);
});

import { expect, test } from "vitest";
import { checkFlinkTests } from "./flink-tests.ts";
import { sourceFiles } from "./source-file.ts";

test("each of Flink's fault-tolerance tests is mirrored, or the reason is written down", () => {
  expect(checkFlinkTests(sourceFiles())).toEqual([]);
});

test("what is in both, in neither or unheard of is noticed", () => {
  const list = new Set(["BothTest", "NeitherTest", "MirroredITCase", "MissingTest"]);
  const files = [
    { path: "test/core/a.test.ts", text: 'test("BothTest, MirroredITCase, UnheardTest")' },
    { path: "test/repository/a.test.ts", text: "OtherTest" },
    {
      path: "docs/checkpoints.md",
      text: "OldTest\n## Flink's fault-tolerance tests\n`BothTest`, `MissingTest`\n## Next\nFarTest",
    },
  ];
  expect(checkFlinkTests(files, list)).toEqual([
    expect.stringMatching(/^BothTest is named by a test/),
    expect.stringMatching(/^NeitherTest is named by no test/),
    expect.stringMatching(/^UnheardTest is none/),
  ]);
});

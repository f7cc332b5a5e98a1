// Every operator that keeps state is in the test of what operators leave behind.
//   K1. An operator is a file that operators/create.ts makes one of. It keeps state where it, or one of the
//       files of its folder that it is built on, has a table, a list or a descriptor of state.

import { posix } from "node:path";
import { importsOf } from "./layers.ts";
import type { SourceFile, Violation } from "./source-file.ts";

const test = "test/core/leaks.test.ts";
const creates = "operators/create.ts";
/** What all operators are said to be; it names the stores. */
const contract = "operators/operator.ts";

const keepsState =
  /StateTable|\.table[<(]|\.register\(|\b(value|list|map|reducing|aggregating)State[<(]/;

export function checkLeaks(files: readonly SourceFile[]): Violation[] {
  const operators = new Map(
    files
      .filter(({ path }) => posix.dirname(path) === "operators" && path !== contract)
      .map((file) => [file.path, file]),
  );
  const importedBy = (file: SourceFile): string[] =>
    importsOf(file).map(({ specifier }) => posix.join("operators", specifier));
  const keeps = (path: string, seen = new Set<string>([creates])): boolean => {
    const file = operators.get(path);
    if (file === undefined || seen.has(path)) return false;
    seen.add(path);
    return keepsState.test(file.text) || importedBy(file).some((one) => keeps(one, seen));
  };
  const tested = files.find(({ path }) => path === test)?.text ?? "";
  const stateful = importedBy(operators.get(creates)!).filter((path) => keeps(path));
  return stateful
    .filter((path) => !tested.includes(`of: "${posix.basename(path)}"`))
    .map((path) => `${path} keeps state, and no case of ${test} is of it (K1)`);
}

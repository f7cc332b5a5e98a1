// The examples in TSDoc compile: what an editor shows beside a function is what a reader tries first.

import { compiled, type Snippet } from "./documents.ts";
import { parse, type SourceFile, type Violation } from "./source-file.ts";

export interface Example {
  /** Of its first line in the file. */
  readonly line: number;
  readonly code: string;
}

/** What stands behind `@example`, to the next tag or the end of the comment. */
export function examplesOf(file: SourceFile): Example[] {
  return parse(file).comments.flatMap(({ type, value, start }) => {
    if (type !== "Block" || !value.startsWith("*")) return [];
    const first = file.text.slice(0, start).split("\n").length;
    const found: { line: number; lines: string[] }[] = [];
    let example: { line: number; lines: string[] } | undefined;
    value.split("\n").forEach((text, at) => {
      const line = text.replace(/^ *\*+ ?/, "");
      const [, tag, rest] = /^@(\w+) ?(.*)/.exec(line) ?? [];
      if (tag === undefined) example?.lines.push(line);
      else example = tag === "example" ? { line: first + at, lines: [rest ?? ""] } : undefined;
      if (tag === "example") found.push(example!);
    });
    return found.map(({ line, lines }) => ({ line, code: lines.join("\n").trimEnd() }));
  });
}

/**
 * Compiles them all, each as a module of its own, with the package's exports and an `env` to build a job in.
 * Any other name that is not declared may be anything.
 */
export function checkExamples(files: readonly SourceFile[]): Violation[] {
  const entryOf = (path: string, name: string): Entry => ({
    name,
    names: files.flatMap((file) => (file.path === path ? exportedBy(file) : [])),
  });
  const main = entryOf("stream/index.ts", "tidemark");
  const snippetsIn = (folder: string, ...entries: Entry[]): Snippet[] =>
    files
      .filter(({ path }) => path.startsWith(folder))
      .flatMap((file) => examplesOf(file).map((example) => moduleOf(file.path, example, entries)));
  const options = { noImplicitAny: false, verbatimModuleSyntax: false };
  const found = [
    ...compiled(
      [
        ...snippetsIn("stream/", main),
        ...snippetsIn("worker/", main, entryOf("worker/index.ts", "tidemark/worker")),
      ],
      "@cloudflare/workers-types",
      options,
    ),
    ...compiled(
      snippetsIn("testing/", main, entryOf("testing/index.ts", "tidemark/testing")),
      "node",
      options,
    ),
  ];
  return found.filter((violation) => !isLeftOut.test(violation));
}

/** Names that an example leaves out, as that of the stream it begins with, and rows that nobody knows then. */
const isLeftOut = /: error TS(2304|2503|2552|2582|2593|18004|18046): /;

interface Entry {
  readonly name: string;
  readonly names: readonly string[];
}

function moduleOf(path: string, { line, code }: Example, exported: readonly Entry[]): Snippet {
  const isUsed = (name: string): boolean =>
    new RegExp(`\\b${name}\\b`).test(code) &&
    !new RegExp(`\\b(const|class|function|interface|type) ${name}\\b`).test(code);
  const imports = exported.map(({ name, names }) => {
    const used = names.filter(isUsed);
    return used.length === 0 ? "" : `import { ${used.join(", ")} } from "${name}"; `;
  });
  const env = `import { JobEnvironment as Env } from "tidemark"; declare const env: Env; `;
  // In one line, so that tsc's lines are those of the file.
  const header = `${imports.join("")}${isUsed("env") ? env : ""}export {};${"\n".repeat(line - 1)}`;
  // Options by themselves are an object, not a block.
  const body = code.startsWith("{") ? `void ${code}` : code;
  return { path, name: `${path.replaceAll("/", "__")}.${line}.ts`, code: header + body };
}

/** The names that an entry point exports. */
function exportedBy({ text }: SourceFile): string[] {
  const here = Array.from(text.matchAll(/^export function (\w+)/gm), ([, name = ""]) => name);
  const lists = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from/gm)].flatMap(
    ([, names = ""]) =>
      names
        .split(",")
        .map((name) => name.trim().replace(/^type /, ""))
        .filter((name) => name !== ""),
  );
  return [...here, ...lists];
}

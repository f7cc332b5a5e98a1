// Imports point one way. Checks what each file imports, types included, against the layers below.
//   L1. A layer imports itself and the layers listed for it, by relative path.
//   L2. A layer imports only packages that are dependencies, never devDependencies or its own name.
//   L3. The job.ts of an example sees what a user sees: the package's entry points and its own folder.
//   L4. Every folder with TypeScript is in the table, so a new one is a decision.

import { posix } from "node:path";
import {
  isTypeScript,
  type SourceFile,
  type SyntaxNode,
  type Violation,
  violation,
  walk,
} from "./source-file.ts";

/** What each layer may import besides itself. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  format: [],
  stream: ["format"],
  operators: ["format", "stream"],
  connectors: ["format", "stream", "operators"],
  task: ["format", "stream", "operators", "connectors"],
  coordinator: ["format", "stream"],
  topic: ["format"],
  snapshot: ["format"],
  worker: [
    "format",
    "snapshot",
    "stream",
    "operators",
    "connectors",
    "task",
    "coordinator",
    "topic",
    "dashboard",
  ],
  // A client: it meets the deployment over HTTP only, and reads exports of savepoints on disk.
  cli: ["format", "stream", "snapshot"],
};

/** Folders that may import anything: nothing of ours is built on them. */
const outside = ["bench", "dashboard", "examples", "local", "scripts", "sim", "test", "testing"];

const entryPoints = ["tidemark", "tidemark/testing", "tidemark/worker"];

interface Import {
  readonly specifier: string;
  readonly offset: number;
}

export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  walk(file, (node) => {
    const source = node["source"] as SyntaxNode | null | undefined;
    const named =
      node.type === "ImportDeclaration" ||
      node.type === "ExportNamedDeclaration" ||
      node.type === "ExportAllDeclaration" ||
      node.type === "ImportExpression" ||
      node.type === "TSImportType";
    if (named && typeof source?.["value"] === "string") {
      found.push({ specifier: source["value"], offset: node.start });
    }
  });
  return found;
}

/** `@scope/name/deep` and `name/deep` belong to the packages `@scope/name` and `name`. */
const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

export function checkLayers(
  files: readonly SourceFile[],
  dependencies: readonly string[],
): Violation[] {
  return files.filter(isTypeScript).flatMap((file) => {
    const [layer = "", ...rest] = file.path.split("/");
    if (rest.length === 0) return [];
    const allowed = layers[layer];
    if (allowed === undefined && !outside.includes(layer)) {
      return [violation(file, 0, `the folder ${layer}/ is in no layer (L4)`)];
    }
    const isJob = layer === "examples" && posix.basename(file.path) === "job.ts";

    return importsOf(file).flatMap(({ specifier, offset }) => {
      const wrong = (why: string) => [violation(file, offset, `imports "${specifier}": ${why}`)];
      // What the runtime provides is the purity test's business.
      if (/^(node|cloudflare):/.test(specifier)) return [];

      if (!specifier.startsWith(".")) {
        const own = packageOf(specifier) === "tidemark";
        if (own) {
          if (allowed !== undefined) return wrong("a layer names its files by path (L2)");
          return entryPoints.includes(specifier) ? [] : wrong("no such entry point (L3)");
        }
        const known = allowed === undefined || dependencies.includes(packageOf(specifier));
        return known ? [] : wrong("not among the dependencies (L2)");
      }

      const target = posix.join(posix.dirname(file.path), specifier);
      const targetLayer = target.split("/")[0] ?? "";
      if (isJob) {
        const inside = target.startsWith(`${posix.dirname(file.path)}/`);
        return inside ? [] : wrong('an example imports "tidemark" as a user does (L3)');
      }
      if (allowed === undefined || targetLayer === layer || allowed.includes(targetLayer))
        return [];
      return wrong(`${layer} may import ${["itself", ...allowed].join(", ")} (L1)`);
    });
  });
}

// Every public export is documented: a `/** … */` stands directly before its declaration.

import { posix } from "node:path";
import {
  parse,
  type SourceFile,
  type SyntaxNode,
  type Violation,
  violation,
  walk,
} from "./source-file.ts";

/** What an entry point exports, through any number of `export … from` files. */
export function checkExports(entry: string, files: readonly SourceFile[]): Violation[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const found = new Set<Violation>();

  /** Checks one name of one file; `undefined` stands for all its exports. */
  const check = (path: string, wanted: string | undefined, seen: ReadonlySet<string>): void => {
    const file = byPath.get(path);
    if (file === undefined) {
      found.add(`${path}:1: does not exist, though ${entry} exports from it`);
      return;
    }
    const visit = `${path}#${wanted ?? "*"}`;
    if (seen.has(visit)) return;
    const inside = new Set([...seen, visit]);
    const follow = (source: string, name: string | undefined) => {
      // Another package's export is documented there.
      if (!source.startsWith(".")) return;
      check(posix.join(posix.dirname(path), source), name, inside);
    };

    for (const declared of exportsOf(file)) {
      if (declared.kind === "all") follow(declared.source, wanted);
      else if (wanted !== undefined && declared.name !== wanted) continue;
      else if (declared.kind === "from") follow(declared.source, declared.original);
      else if (!isDocumented(file, declared.start)) {
        found.add(violation(file, declared.start, `${declared.name} has no TSDoc comment`));
      }
    }
  };

  check(entry, undefined, new Set());
  return [...found];
}

type Export =
  | { readonly kind: "all"; readonly source: string }
  | {
      readonly kind: "from";
      readonly name: string;
      readonly source: string;
      readonly original: string;
    }
  | { readonly kind: "here"; readonly name: string; readonly start: number };

const nameOf = (node: unknown): string => {
  const { name, value } = node as { name?: string; value?: string };
  return name ?? value ?? "";
};

function exportsOf(file: SourceFile): Export[] {
  const declarations = new Map<string, number>();
  const imports = new Map<string, { source: string; original: string }>();
  const exports: Export[] = [];
  const specifiers: { name: string; local: string; source: string | undefined }[] = [];

  walk(file, (node, place) => {
    const source = (node["source"] as SyntaxNode | null | undefined)?.["value"] as
      string | undefined;
    if (node.type === "ExportAllDeclaration" && node["exported"] === null) {
      exports.push({ kind: "all", source: source ?? "" });
    } else if (node.type === "ExportDefaultDeclaration") {
      exports.push({ kind: "here", name: "default", start: node.start });
    } else if (node.type === "ImportDeclaration") {
      for (const specifier of node["specifiers"] as SyntaxNode[]) {
        const original = nameOf(specifier["imported"] ?? { name: "default" });
        imports.set(nameOf(specifier["local"]), { source: source ?? "", original });
      }
    } else if (node.type === "ExportNamedDeclaration") {
      for (const specifier of node["specifiers"] as SyntaxNode[]) {
        const [name, local] = [nameOf(specifier["exported"]), nameOf(specifier["local"])];
        specifiers.push({ name, local, source });
      }
      for (const name of namesOf(node["declaration"] as SyntaxNode | null)) {
        exports.push({ kind: "here", name, start: node.start });
      }
    } else if (place?.parent.type === "Program") {
      for (const name of namesOf(node)) declarations.set(name, node.start);
    }
  });

  for (const { name, local, source } of specifiers) {
    const imported = source === undefined ? imports.get(local) : { source, original: local };
    if (imported === undefined) {
      exports.push({ kind: "here", name, start: declarations.get(local) ?? 0 });
    } else {
      exports.push({ kind: "from", name, ...imported });
    }
  }
  // Of a function's overloads the first carries the comment.
  return exports.filter(
    (one, index) =>
      one.kind !== "here" ||
      exports.findIndex((other) => other.kind === "here" && other.name === one.name) === index,
  );
}

function namesOf(declaration: SyntaxNode | null): string[] {
  if (declaration === null) return [];
  if (declaration.type === "VariableDeclaration") {
    return (declaration["declarations"] as SyntaxNode[]).map((one) => nameOf(one["id"]));
  }
  const isDeclaration = /^(TS)?(Declare)?(Function|Class|Interface|TypeAlias)/.test(
    declaration.type,
  );
  return isDeclaration && declaration["id"] !== null ? [nameOf(declaration["id"])] : [];
}

function isDocumented(file: SourceFile, start: number): boolean {
  return parse(file).comments.some(
    (comment) =>
      comment.type === "Block" &&
      comment.value.startsWith("*") &&
      comment.end <= start &&
      file.text.slice(comment.end, start).trim() === "",
  );
}

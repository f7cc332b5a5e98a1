// The repository as its own tests see it: files as text, TypeScript as a syntax tree.

import { globSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { type Comment, parseSync, type Program } from "oxc-parser";

export const root = join(import.meta.dirname, "../..");

const notOurs = ["node_modules", ".git", ".wrangler", ".tidemark", "dist", "coverage"];
const textExtensions = ".cjs .css .html .js .json .md .mjs .sh .toml .ts .txt .yaml .yml".split(
  " ",
);

export interface SourceFile {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Every text file of the repository, dot files included. */
export function sourceFiles(): SourceFile[] {
  return globSync(["**/*", "**/.*", "**/.*/**/*"], {
    cwd: root,
    exclude: (entry) => notOurs.includes(entry.name),
    withFileTypes: true,
  })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => textExtensions.includes(extname(path)) || extname(path) === "")
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
}

export const isTypeScript = (file: SourceFile): boolean => file.path.endsWith(".ts");

/** A node of the tree, as the generic walk sees it. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [property: string]: unknown;
}

const isNode = (value: unknown): value is SyntaxNode =>
  typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";

export function parse(file: SourceFile): { program: Program; comments: Comment[] } {
  const { program, comments, errors } = parseSync(file.path, file.text, {
    sourceType: "module",
  });
  const [error] = errors;
  if (error !== undefined) throw new Error(`${file.path} does not parse: ${error.message}`);
  return { program, comments };
}

/** Where a node stands: its parent, the parent's property that holds it, and what is above. */
export interface Place {
  readonly parent: SyntaxNode;
  readonly key: string;
  readonly above: Place | undefined;
}

/** Calls `visit` for every node, parents first. */
export function walk(file: SourceFile, visit: (node: SyntaxNode, place?: Place) => void): void {
  const descend = (node: SyntaxNode, place: Place | undefined): void => {
    visit(node, place);
    for (const [key, value] of Object.entries(node)) {
      for (const child of Array.isArray(value) ? (value as unknown[]) : [value]) {
        if (isNode(child)) descend(child, { parent: node, key, above: place });
      }
    }
  };
  const { program } = parse(file);
  if (isNode(program)) descend(program, undefined);
}

/** One broken rule, readable as `path:line: what is wrong`. */
export type Violation = string;

export function violation(file: SourceFile, offset: number, message: string): Violation {
  const line = file.text.slice(0, offset).split("\n").length;
  return `${file.path}:${line}: ${message}`;
}

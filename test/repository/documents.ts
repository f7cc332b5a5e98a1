// What the documents promise: their links lead somewhere, their snippets compile, and no tracked
// file names a path of somebody's machine.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { root, type SourceFile, type Violation, violation } from "./source-file.ts";

export const isMarkdown = (file: SourceFile): boolean => file.path.endsWith(".md");

const fence = /^( *)(```+)([^\n]*)\n([\s\S]*?)^ *\2 *$/gm;

/** Code blocks with their text blanked, so that offsets and lines stay. */
const withoutCode = (text: string): string =>
  text
    .replace(fence, (block) => block.replace(/[^\n]/g, " "))
    .replace(/`[^`\n]*`/g, (code) => " ".repeat(code.length));

/** Anchors of a page's headings, formed as GitHub forms them. */
function anchorsOf(file: SourceFile): Set<string> {
  const anchors = new Set<string>();
  const uses = new Map<string, number>();
  const text = file.text.replace(fence, "");
  for (const [, heading = ""] of text.matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
    const used = uses.get(slug) ?? 0;
    uses.set(slug, used + 1);
    anchors.add(used === 0 ? slug : `${slug}-${used}`);
  }
  for (const [, id = ""] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

const links = /\]\(<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]: +(\S+)|(?:src|href)="([^"]+)"/gm;

/** Relative links must name a file or folder of the repository, and a heading that exists. */
export function checkLinks(
  files: readonly SourceFile[],
  exists: (path: string) => boolean,
): Violation[] {
  const pages = new Map(files.filter(isMarkdown).map((file) => [file.path, file]));
  return [...pages.values()].flatMap((file) =>
    [...withoutCode(file.text).matchAll(links)].flatMap((match) => {
      const link = match[1] ?? match[2] ?? match[3] ?? "";
      if (/^([a-z][a-z0-9+.-]*:|\/\/)/i.test(link)) return [];
      const [path = "", anchor] = decodeURI(link).split("#");
      const target = path === "" ? file.path : posix.join(posix.dirname(file.path), path);
      if (!exists(target)) return [violation(file, match.index, `${link} leads nowhere`)];
      const page = pages.get(target);
      if (anchor === undefined || page === undefined || anchorsOf(page).has(anchor)) return [];
      return [violation(file, match.index, `${link}: no such heading`)];
    }),
  );
}

/** The ```ts blocks that import from "tidemark", or an entry point of it: what a reader would copy. */
export function snippetsOf(file: SourceFile): { readonly line: number; readonly code: string }[] {
  return [...file.text.matchAll(fence)].flatMap(({ 3: info = "", 4: code = "", index }) => {
    const isTypeScript = /^(ts|typescript)\b/.test(info.trim());
    if (!isTypeScript || !/from "tidemark(\/(testing|worker))?"/.test(code)) return [];
    return [{ line: file.text.slice(0, index).split("\n").length + 1, code }];
  });
}

/** A module to compile: of which file, and under what name. */
export interface Snippet {
  readonly path: string;
  readonly name: string;
  readonly code: string;
}

/** Compiles the snippets of all pages, each as a module of its own. */
export function checkSnippets(files: readonly SourceFile[]): Violation[] {
  const snippets = files.filter(isMarkdown).flatMap((file) =>
    snippetsOf(file).map(({ line, code }): Snippet => {
      const name = `${file.path.replaceAll("/", "__")}.${line}.ts`;
      // Blank lines before the code make tsc's lines those of the page.
      return { path: file.path, name, code: "\n".repeat(line - 1) + code };
    }),
  );
  const isTest = ({ code }: Snippet): boolean => code.includes(`from "tidemark/testing"`);
  return [
    ...compiled(
      snippets.filter((snippet) => !isTest(snippet)),
      "@cloudflare/workers-types",
    ),
    ...compiled(snippets.filter(isTest), "node"),
  ];
}

/** In one run of tsc, with the global types of a runtime. */
export function compiled(
  snippets: readonly Snippet[],
  types: string,
  options: object = {},
): Violation[] {
  if (snippets.length === 0) return [];
  // Inside the repository, so that "tidemark" resolves to it; .tidemark/ is ignored by git.
  mkdirSync(join(root, ".tidemark"), { recursive: true });
  const folder = mkdtempSync(join(root, ".tidemark/snippets-"));
  try {
    for (const { name, code } of snippets) writeFileSync(join(folder, name), code);
    const compilerOptions = { types: [types], ...options };
    const config = { extends: "../../tsconfig.json", compilerOptions, include: ["."] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [tsc, "-p", ".", "--pretty", "false"],
      {
        cwd: folder,
        encoding: "utf8",
      },
    );
    const output = stdout + stderr;
    const pages = new Map(snippets.map(({ path, name }) => [name, path]));
    const found = output.split("\n").flatMap((line) => {
      const [, file = "", at, error] = /^(\S+)\((\d+),\d+\): (.*)/.exec(line) ?? [];
      return file === "" ? [] : [`${pages.get(file) ?? file}:${at}: ${error}`];
    });
    return found.length === 0 && status !== 0 ? [output] : found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const machinePath = /(?<![\w.$}~/-])\/(?:work|root|home|tmp|Users)\/[\w.-]/g;

/** Nothing may depend on, or tell about, the machine it was written on. */
export function checkMachinePaths(files: readonly SourceFile[]): Violation[] {
  return files.flatMap((file) =>
    [...file.text.matchAll(machinePath)].map(({ index }) =>
      violation(
        file,
        index,
        `${file.text.slice(index, index + 30).split("\n")[0]} is a path of a machine`,
      ),
    ),
  );
}

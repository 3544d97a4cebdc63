/** A fenced block of a Markdown page: its language, its text without the fence, and the line it begins at. */
export interface FencedBlock {
  language: string;
  text: string;
  line: number;
}

/** The fenced blocks of a page, in order. */
export function fencedBlocks(page: string): FencedBlock[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? "",
    text: match[2] ?? "",
    line: page.slice(0, match.index).split("\n").length,
  }));
}

/** The page without its fenced blocks and inline code: what is prose. */
export function proseOf(page: string): string {
  return page.replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, "");
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(page: string): Set<string> {
  const headings = page.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/^#{1,6} +(.+)$/gm);
  return new Set([...headings].map(([, text]) => anchorOf(text ?? "")));
}

function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}

/** The style of the reference; it stands in the page, which loads nothing from elsewhere. */
export const DOCS_STYLE = `
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e4e7eb); --soft: light-dark(#57606a, #9aa4af);
  --line: light-dark(#d8dee4, #30363d); --card: light-dark(#f6f8fa, #161b22); --back: light-dark(#fff, #0d1117);
  --accent: light-dark(#0b5cad, #6cb2ff); }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--back);
  display: grid; grid-template-columns: 17rem minmax(0, 54rem); gap: 2.5rem; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem 1rem; border-right: 1px solid var(--line); font-size: 13px; }
nav ul { list-style: none; margin: .3rem 0 1rem; padding: 0; }
nav a { display: block; padding: .15rem .4rem; color: inherit; text-decoration: none; border-radius: 4px; }
nav a:hover { background: var(--card); }
main { padding: 1.5rem 1rem 6rem 0; }
a { color: var(--accent); }
h1 { margin-top: 0; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
section[data-search] { margin: 2rem 0; padding-top: .5rem; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { position: relative; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 6px; overflow: auto; }
pre button { position: absolute; top: .5rem; right: .5rem; font-size: 12px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
td:first-child { white-space: nowrap; } td small, .soft { color: var(--soft); }
details { margin: .5rem 0; } summary { cursor: pointer; }
.verb { display: inline-block; min-width: 3.6em; font: 600 12px ui-monospace, monospace; }
.get { color: #1a7f37; } .post { color: #0b6bcb; } .put { color: #9a6700; } .delete { color: #cf222e; }
#filter { width: 100%; padding: .4rem; }
@media (max-width: 60rem) { body { display: block; padding: 0 1rem; } nav { position: static; height: auto; border: 0; padding: 1rem 0; } }
`;

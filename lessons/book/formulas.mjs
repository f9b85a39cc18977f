// GitHub's formulas for markdown-it: $...$ in a line, $$...$$ and blocks ```math on lines of their own.

function formulaInText(state, silent) {
  const { src, pos, posMax } = state;
  if (src[pos] !== "$") return false;
  const mark = src.startsWith("$$", pos) ? "$$" : "$";
  const start = pos + mark.length;
  const end = src.indexOf(mark, start);
  if (end <= start || end + mark.length > posMax) return false;
  const tex = src.slice(start, end);
  if (mark === "$" && tex !== tex.trim()) return false; // "$5 and $6" are prices
  if (!silent) {
    const token = state.push("formula", "", 0);
    token.content = tex;
    token.block = mark === "$$";
  }
  state.pos = end + mark.length;
  return true;
}

// A plugin; typeset(tex, isDisplayed, env) gives a formula's HTML.
export function formulas(md, typeset) {
  md.inline.ruler.before("escape", "formula", formulaInText);
  md.renderer.rules.formula = (tokens, i, options, env) =>
    typeset(tokens[i].content, tokens[i].block, env);

  const fence = md.renderer.rules.fence;
  md.renderer.rules.fence = (tokens, i, options, env, renderer) =>
    tokens[i].info.trim() === "math"
      ? `<p>${typeset(tokens[i].content, true, env)}</p>\n`
      : fence(tokens, i, options, env, renderer);
}

// GitHub's formulas for markdown-it: $...$ within a line, $$...$$ and blocks ```math on their own.

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

// A line must not end between a formula and a full stop or a bracket: U+2060 joins them.
function joined(html, before, after) {
  const isTight = (token, pattern) => token?.type === "text" && pattern.test(token.content);
  return (isTight(before, /\S$/) ? "\u2060" : "") + html + (isTight(after, /^\S/) ? "\u2060" : "");
}

// A plugin; typeset(tex, isDisplayed, env) gives a formula's HTML.
export function formulas(md, typeset) {
  md.inline.ruler.before("escape", "formula", formulaInText);
  md.renderer.rules.formula = (tokens, i, options, env) => {
    const html = typeset(tokens[i].content, tokens[i].block, env);
    return tokens[i].block ? html : joined(html, tokens[i - 1], tokens[i + 1]);
  };

  const fence = md.renderer.rules.fence;
  md.renderer.rules.fence = (tokens, i, options, env, renderer) =>
    tokens[i].info.trim() === "math"
      ? `<p>${typeset(tokens[i].content, true, env)}</p>\n`
      : fence(tokens, i, options, env, renderer);
}

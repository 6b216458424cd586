// A table as Markdown writes it.

export function table(head: readonly string[], rows: readonly (readonly (string | number | undefined)[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return `${lines.join("\n")}\n`;
}

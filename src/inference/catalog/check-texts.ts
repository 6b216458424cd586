// Built-in texts on which int8 is held against fp32 at load: everyday words, numbers, names, several scripts.

export const checkTexts: readonly string[] = [
  "the meeting starts at nine thirty on monday the third of march",
  "please send me twenty five dollars before the end of the week",
  "How many people live in the largest city of the country?",
  "knights and daughters walk through the old town",
  "Der Zug nach Berlin fährt heute um halb acht ab.",
  "Elle a acheté trois livres et une carte postale.",
  "La temperatura media subió dos grados en diez años.",
  "Сегодня вечером мы идём в театр.",
  "今天天气很好，我们去公园吧。",
  "version 2.0.1 was released on 2024-05-17",
];

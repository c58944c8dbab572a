// A recipe and what is put on top of it, up to where plugins come in. Lines that begin "#>" divide the input:
//   the recipe
//   #> parent.toml, which the recipe may extend
//   #> arguments, one a line
#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "recipe/steps.hpp"
#include "support/fuzz.hpp"

namespace hearth::fuzz {
namespace {

using recipe::Table;

struct Input {
    std::array<std::string, 3> parts;
    std::vector<std::string> arguments;

    explicit Input(std::string_view text) {
        std::size_t part = 0;
        std::istringstream lines{std::string(text)};
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("#>"))
                part = std::min(part + 1, parts.size() - 1);
            else if (part == 2)
                arguments.push_back(line);
            else
                parts[part] += line + '\n';
        }
    }
};

/// Whether `text` extends nothing but parent.toml: no input may name files of this machine.
bool stays_inside(const std::string& text) {
    Table tree;
    if (!accepts([&] { tree = recipe::parse_text(text, "recipe.toml"); })) return true;
    const auto* extends = tree.find("extends");
    if (extends == nullptr) return true;
    const auto is_inside = [](const recipe::Value& name) {
        return !name.is_text() || name.text().empty() || name.text() == "parent.toml";
    };
    if (!extends->is_array()) return is_inside(*extends);
    return std::all_of(extends->array().begin(), extends->array().end(), is_inside);
}

/// A run keeps its recipe as text and reads it again.
void check_print(const Table& tree) {
    for (const bool origins : {false, true}) {
        const auto text = recipe::to_toml(tree, origins);
        Table again;
        require(accepts([&] { again = recipe::parse_text(text, "printed.toml"); }), "printed recipes parse");
        const bool comparable = text.find("nan") == std::string::npos;  // not equal to itself
        require(!comparable || again == tree, "a printed recipe is the recipe");
    }
}

void run(std::string_view text) {
    const Input input(text);
    if (!stays_inside(input.parts[0]) || !stays_inside(input.parts[1])) return;
    write_file("parent.toml", input.parts[1]);
    const auto file = write_file("recipe.toml", input.parts[0]);
    Table tree;
    if (accepts([&] { tree = recipe::load_tree(file, input.arguments); })) check_print(tree);
    accepts([&] { recipe::load(file, input.arguments); });
}

}  // namespace
}  // namespace hearth::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const int empty = ::setenv("EMPTY", "", 1);  // a variable that inputs can name
    static_cast<void>(empty);
    hearth::fuzz::run(hearth::fuzz::text_of({bytes, size}));
    return 0;
}

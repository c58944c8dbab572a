// A tree as TOML that reads like a hand-written recipe: a [section] for each part, [[loss]] for each entry,
// small tables such as schedules on one line.
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>

#include "recipe/steps.hpp"

namespace hearth::recipe {
namespace {

/// Everything that had a hand in a value: "a.toml:3, argument 'x=1'".
void collect_origins(const Value& value, std::vector<std::string>& out) {
    const auto text = value.origin.line_text();
    if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(text);
    if (value.is_array()) {
        for (const auto& entry : value.array()) collect_origins(entry, out);
    } else if (value.is_table()) {
        for (std::size_t i = 0; i < value.table().keys().size(); ++i) collect_origins(value.table().at(i), out);
    }
}

/// Whether a table gets a [header] of its own: sections, networks, and components below them.
bool has_header(const std::vector<std::string>& path) {
    if (path.size() <= 1) return true;
    if (path[0] != "networks") return false;
    if (path.size() == 2) return true;
    if (path.size() == 3) return path[2] == "backbone" || path[2] == "heads" || path[2] == "extra_heads";
    return path.size() == 4 && (path[2] == "heads" || path[2] == "extra_heads");
}

class Printer {
  public:
    explicit Printer(bool origins) : origins_(origins) {}

    void body(const Table& table, std::vector<std::string> path) {
        std::vector<std::pair<std::string, const Value*>> below;
        for (std::size_t i = 0; i < table.keys().size(); ++i) {
            const auto& key = table.keys()[i];
            const Value& value = table.at(i);
            path.push_back(key);
            if ((value.is_table() && has_header(path)) || is_entries(value, path))
                below.emplace_back(key, &value);
            else
                line(key, value);
            path.pop_back();
        }
        for (const auto& [key, value] : below) {
            path.push_back(key);
            if (value->is_table())
                section(value->table(), path);
            else
                for (const auto& entry : value->array()) {
                    text_ += fmt::format("\n[[{}{}]]\n", above_, key);
                    if (key == "stage")
                        stage(entry.table());
                    else
                        body(entry.table(), {key, ""});
                }
            path.pop_back();
        }
    }

    const std::string& text() const { return text_; }

  private:
    static bool is_entries(const Value& value, const std::vector<std::string>& path) {
        return path.size() == 1 && is_list_of_entries(path[0]) && value.is_array() && !value.array().empty() &&
               std::all_of(value.array().begin(), value.array().end(),
                           [](const Value& v) { return v.is_table(); });
    }

    /// A stage has sections and lists as the recipe has: [stage.train], [[stage.loss]].
    void stage(const Table& table) {
        const auto before = above_;
        above_ += "stage.";
        body(table, {});
        above_ = before;
    }

    void section(const Table& table, const std::vector<std::string>& path) {
        // [networks] and [networks.x.heads] only hold tables: their headers would say nothing.
        const bool only_sections =
            !table.empty() && std::all_of(table.keys().begin(), table.keys().end(), [&](auto& key) {
                auto below = path;
                below.push_back(key);
                return table.find(key)->is_table() && has_header(below);
            });
        if (!only_sections) {
            std::vector<std::string> keys;
            for (const auto& key : path) keys.push_back(toml_key(key));
            text_ += fmt::format("\n[{}{}]\n", above_, join(keys, "."));
        }
        body(table, path);
    }

    void line(const std::string& key, const Value& value) {
        auto out = fmt::format("{} = {}", toml_key(key), value.to_toml());
        if (origins_) {
            std::vector<std::string> origins;
            collect_origins(value, origins);
            out = fmt::format("{}  # {}", out, printable(join(origins)));
        }
        text_ += out + "\n";
    }

    /// An argument may hold line ends and other control characters, a comment may not.
    static std::string printable(std::string comment) {
        std::replace_if(
            comment.begin(), comment.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
        return comment;
    }

    bool origins_;
    std::string above_;  ///< "stage." within one
    std::string text_;
};

}  // namespace

std::string to_toml(const Table& tree, bool origins) {
    Printer printer(origins);
    printer.body(tree, {});
    return printer.text();
}

}  // namespace hearth::recipe

// A recipe as a tree of values, each of which knows where it came from: a file and line, or an argument of the
// command line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hearth::recipe {

/// Where a value was written: the place of its key, or of the entry itself in a list. `file` is "" for a value
/// that nobody wrote (a default).
struct Origin {
    std::string file;  ///< as the user gave it, or "argument 'train.epochs=3'"
    int line = 0;      ///< from 1; 0 for arguments
    int column = 0;
    bool is_argument() const { return file.starts_with("argument '"); }
    /// "recipes/a.toml:12", "argument 'train.epochs=3'", "default".
    std::string line_text() const;
    /// "recipes/a.toml:12:5", "argument 'train.epochs=3'", "default".
    std::string text() const;
};

class Value;
using Array = std::vector<Value>;

/// Keys in the order they were written. A copy is deep.
class Table {
  public:
    const Value* find(std::string_view key) const;
    Value* find(std::string_view key);
    void set(const std::string& key, Value value);  ///< replaces in place or appends
    bool erase(std::string_view key);
    bool rename(std::string_view key, const std::string& name);  ///< at its place; whether `key` was there
    const std::vector<std::string>& keys() const { return keys_; }
    const Value& at(std::size_t index) const;  ///< the value of keys()[index]
    bool empty() const { return keys_.empty(); }

  private:
    std::vector<std::string> keys_;
    std::vector<Value> values_;
};

class Value {
  public:
    std::variant<bool, std::int64_t, double, std::string, Array, Table> data;
    Origin origin;

    bool is_table() const { return std::holds_alternative<Table>(data); }
    bool is_array() const { return std::holds_alternative<Array>(data); }
    bool is_text() const { return std::holds_alternative<std::string>(data); }
    const Table& table() const { return std::get<Table>(data); }
    Table& table() { return std::get<Table>(data); }
    const Array& array() const { return std::get<Array>(data); }
    Array& array() { return std::get<Array>(data); }
    const std::string& text() const { return std::get<std::string>(data); }
    /// "integer", "text", "table", ... for error messages.
    std::string type_name() const;
    /// As TOML, on one line.
    std::string to_toml() const;
};

/// Equal contents; origins and the order of keys do not matter.
bool operator==(const Table& a, const Table& b);
bool operator==(const Value& a, const Value& b);

/// `text` as a TOML key: bare where it may be, else quoted.
std::string toml_key(const std::string& text);

/// What is wrong, and where.
struct Mistake {
    Origin where;
    std::string what;
    std::string text() const { return where.text() + ": " + what; }
};

/// Collects every problem of a recipe, so that all are reported at once.
class Diagnostics {
  public:
    void add(const Origin& where, const std::string& message);
    bool empty() const { return messages_.empty(); }
    const std::vector<std::string>& messages() const { return messages_; }
    const std::vector<Mistake>& mistakes() const { return mistakes_; }
    /// Throws one RecipeError with all messages, a line each, when there are any.
    void throw_if_any(const std::string& title) const;

  private:
    std::vector<std::string> messages_;
    std::vector<Mistake> mistakes_;
};

}  // namespace hearth::recipe

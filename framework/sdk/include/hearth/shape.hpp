// A shape is symbolic: a dimension is a number or an expression over symbols, e.g. "B", 192 or
// "H/16*W/16". Ports are declared with symbols; the plan binds them to numbers and refuses clashes
// before any data is opened.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// One dimension. Arithmetic of known dimensions gives numbers, of unknown ones an expression that prints
/// readably.
class Dim {
  public:
    Dim(std::int64_t value) : value_(value), text_(std::to_string(value)) {}  // NOLINT: 192 is a Dim
    Dim(int value) : Dim(std::int64_t{value}) {}                              // NOLINT
    Dim(const char* symbol) : text_(symbol) {}                                // NOLINT: "B" is a Dim
    Dim(std::string symbol) : text_(std::move(symbol)) {}                     // NOLINT

    bool known() const { return value_ >= 0; }
    std::int64_t value() const { return value_; }
    const std::string& text() const { return text_; }

    friend Dim operator*(const Dim& a, const Dim& b);
    friend Dim operator/(const Dim& a, const Dim& b);
    friend Dim operator+(const Dim& a, const Dim& b);
    friend bool operator==(const Dim& a, const Dim& b) { return a.text_ == b.text_; }

  private:
    std::int64_t value_ = -1;
    std::string text_;
};

using Shape = std::vector<Dim>;

/// Parses "B L 256". Throws PluginError for what is neither a number nor a symbol.
Shape parse_shape(std::string_view text);
/// Prints "B L 256".
std::string to_string(const Shape& shape);

/// What is known about the symbols of one component's ports: D -> 192.
class Symbols {
  public:
    void bind(const std::string& name, Dim dim) { dims_.insert_or_assign(name, std::move(dim)); }
    bool bound(const std::string& name) const { return dims_.count(name) != 0; }
    /// The bound dimension, or the symbol itself while nothing is known about it.
    Dim operator[](const std::string& name) const;
    /// The number bound to a symbol. Throws Error(internal) when it is not a number.
    std::int64_t value(const std::string& name) const;
    /// Replaces bound symbols of a shape.
    Shape resolve(const Shape& shape) const;

  private:
    std::map<std::string, Dim> dims_;
};

/// Unifies a declared shape with a produced one, binding the symbols of `declared`.
/// Returns "" or what clashes, e.g. "dimension 2: D is 192, found 384".
std::string unify(const Shape& declared, const Shape& produced, Symbols& symbols);

}  // namespace hearth

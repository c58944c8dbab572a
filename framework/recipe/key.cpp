#include "recipe/key.hpp"

namespace hearth::recipe {
namespace {

struct Declare {
    Schema& schema;
    const std::string& name;
    OptionSpec& operator()(bool value) const { return schema.boolean(name, value); }
    OptionSpec& operator()(std::int64_t value) const { return schema.integer(name, value); }
    OptionSpec& operator()(const Schedule& value) const { return schema.number(name, value.from); }
    OptionSpec& operator()(const std::string& value) const { return schema.text(name, value); }
    OptionSpec& operator()(const std::vector<std::int64_t>& value) const {
        return schema.integers(name, value);
    }
    OptionSpec& operator()(const std::vector<double>& value) const { return schema.numbers(name, value); }
    OptionSpec& operator()(const std::vector<std::string>& value) const { return schema.texts(name, value); }
};

}  // namespace

void declare(Schema& schema, OptionSpec option) {
    OptionSpec& declared = std::visit(Declare{schema, option.name}, option.fallback);
    option.type = declared.type;
    declared = std::move(option);
}

}  // namespace hearth::recipe

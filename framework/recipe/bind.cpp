// Raw values against option schemas.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <hearth/text.hpp>
#include <optional>

#include "recipe/steps.hpp"
#include "recipe/synonyms.hpp"

namespace hearth::recipe {
namespace {

bool is_number(const Value& value) {
    return std::holds_alternative<double>(value.data) || std::holds_alternative<std::int64_t>(value.data);
}

double number_of(const Value& value) {
    const auto* integer = std::get_if<std::int64_t>(&value.data);
    return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(value.data);
}

/// A finite number, or a report.
std::optional<double> read_number(const Value& value, const std::string& path, Diagnostics& problems) {
    if (is_number(value) && std::isfinite(number_of(value))) return number_of(value);
    problems.add(value.origin, fmt::format("{}: found {}, expected a finite number", path, found(value)));
    return std::nullopt;
}

std::optional<std::vector<double>> read_numbers(const Value& value, const std::string& path,
                                                Diagnostics& problems) {
    if (!value.is_array()) {
        problems.add(value.origin, fmt::format("{}: found {}, expected a list of numbers", path, found(value)));
        return std::nullopt;
    }
    std::vector<double> out;
    for (const auto& entry : value.array())
        if (const auto number = read_number(entry, path, problems)) out.push_back(*number);
    return out.size() == value.array().size() ? std::optional(out) : std::nullopt;
}

std::string not_an_integer(const Value& value) {
    const auto* number = std::get_if<double>(&value.data);
    const bool whole = number != nullptr && std::abs(*number) < 9e15 && std::floor(*number) == *number;
    return fmt::format("found {}, expected an integer{}", found(value),
                       whole ? fmt::format(" (write {})", static_cast<std::int64_t>(*number)) : "");
}

/// The whole list converted by `entry`, which returns nullopt after reporting.
template <class T, class F>
std::optional<OptionValue> read_list(const Value& value, const OptionSpec& spec, const std::string& path,
                                     Diagnostics& problems, F&& entry) {
    if (!value.is_array()) {
        problems.add(value.origin,
                     fmt::format("{}: found {}, expected a {}", path, found(value), to_string(spec.type)));
        return std::nullopt;
    }
    std::vector<T> out;
    for (std::size_t i = 0; i < value.array().size(); ++i) {
        const auto converted = entry(value.array()[i], fmt::format("{}.{}", path, i));
        if (converted) out.push_back(*converted);
    }
    if (out.size() != value.array().size()) return std::nullopt;
    return OptionValue(std::move(out));
}

std::optional<OptionValue> convert(const Value& value, const OptionSpec& spec, const std::string& path,
                                   Diagnostics& problems) {
    const auto exactly = [&]<class T>(const T*, const char* expected) {
        return [&problems, expected](const Value& v, const std::string& at) -> std::optional<T> {
            if (const auto* held = std::get_if<T>(&v.data)) return *held;
            const auto reason = std::is_same_v<T, std::int64_t>
                                    ? not_an_integer(v)
                                    : fmt::format("found {}, expected {}", found(v), expected);
            problems.add(v.origin, at + ": " + reason);
            return std::nullopt;
        };
    };
    const auto flag = exactly(static_cast<bool*>(nullptr), "true or false");
    const auto integer = exactly(static_cast<std::int64_t*>(nullptr), "an integer");
    const auto text = exactly(static_cast<std::string*>(nullptr), "a text");
    const auto number = [&](const Value& v, const std::string& at) { return read_number(v, at, problems); };
    switch (spec.type) {
        case OptionType::boolean:
            return flag(value, path);
        case OptionType::integer:
            if (!spec.special || !value.is_text()) return integer(value, path);
            problems.add(value.origin, fmt::format("{}: found \"{}\", expected an integer or \"{}\"", path,
                                                   value.text(), spec.special->first));
            return std::nullopt;
        case OptionType::text:
            return text(value, path);
        case OptionType::integers:
            return read_list<std::int64_t>(value, spec, path, problems, integer);
        case OptionType::numbers:
            return read_list<double>(value, spec, path, problems, number);
        case OptionType::texts:
            return read_list<std::string>(value, spec, path, problems, text);
        case OptionType::number:
            break;
    }
    if (value.is_table() && !spec.may_schedule) {
        problems.add(
            value.origin,
            fmt::format("{}: found a table, expected a number: this option cannot be a schedule", path));
        return std::nullopt;
    }
    const auto before = problems.messages().size();
    const auto schedule = read_schedule(value, path, 0.0, problems);
    if (problems.messages().size() != before) return std::nullopt;
    return OptionValue(schedule);
}

}  // namespace

std::string found(const Value& value) {
    auto text = value.to_toml();
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return value.type_name() + " " + text;
}

Schedule read_schedule(const Value& value, const std::string& path, const Schedule& fallback,
                       Diagnostics& problems) {
    if (is_number(value)) {
        const auto number = read_number(value, path, problems);
        return number ? Schedule(*number) : fallback;
    }
    if (!value.is_table()) {
        problems.add(value.origin,
                     fmt::format("{}: found {}, expected a number or a schedule such as {{ shape = \"cosine\", "
                                 "from = 1.0, to = 0.0 }}",
                                 path, found(value)));
        return fallback;
    }
    static const std::vector<std::string> keys = {"shape", "from", "to",     "warmup",
                                                  "start", "at",   "values", "per"};
    static const std::vector<std::string> shapes = {"constant", "linear", "cosine", "steps"};
    const Table& table = value.table();
    const auto before = problems.messages().size();
    const auto complain = [&](const Value& at, const std::string& key, const std::string& what) {
        problems.add(at.origin, fmt::format("{}{}{}: {}", path, key.empty() ? "" : ".", key, what));
    };
    for (std::size_t i = 0; i < table.keys().size(); ++i)
        if (const auto& key = table.keys()[i]; std::find(keys.begin(), keys.end(), key) == keys.end())
            complain(table.at(i), key,
                     fmt::format("unknown key, a schedule has {}{}", join(keys), did_you_mean(key, keys)));

    const Value* shape = table.find("shape");
    const auto chosen = shape != nullptr && shape->is_text()
                            ? std::find(shapes.begin(), shapes.end(), shape->text())
                            : shapes.end();
    if (chosen == shapes.end()) {
        if (shape == nullptr)
            complain(value, "shape", "missing, expected one of " + join(shapes));
        else
            complain(*shape, "shape",
                     fmt::format("found {}, expected one of {}{}", found(*shape), join(shapes),
                                 shape->is_text() ? did_you_mean(shape->text(), shapes) : ""));
        return fallback;
    }
    Schedule out;
    out.shape = static_cast<Schedule::Shape>(chosen - shapes.begin());
    const bool stepped = *chosen == "steps";
    const bool constant = *chosen == "constant";

    const auto read = [&](const char* key, bool allowed, bool needed, double& target) {
        const Value* given = table.find(key);
        if (given == nullptr) {
            if (needed) complain(value, key, fmt::format("missing, shape \"{}\" needs it", *chosen));
        } else if (!allowed) {
            complain(*given, key, fmt::format("shape \"{}\" has no '{}'", *chosen, key));
        } else if (const auto number = read_number(*given, path + "." + key, problems)) {
            target = *number;
        }
    };
    read("from", !stepped, !stepped, out.from);
    read("to", !stepped && !constant, !stepped && !constant, out.to);
    if (const Value* warmup = table.find("warmup"); warmup != nullptr && warmup->is_text() && !stepped)
        complain(*warmup, "warmup",
                 fmt::format("found {}, expected epochs, or a share of the run, \"5 %\" or \"1/6\"",
                             found(*warmup)));
    else
        read("warmup", !stepped, false, out.warmup);
    read("start", !stepped, false, out.start);
    if (constant) out.to = out.from;
    if (out.warmup < 0)
        complain(*table.find("warmup"), "warmup", "found a negative number of epochs, expected 0 or more");

    const auto read_list = [&](const char* key, std::vector<double>& target) {
        const Value* given = table.find(key);
        if (given == nullptr) {
            if (stepped) complain(value, key, "missing, shape \"steps\" needs it");
        } else if (!stepped) {
            complain(*given, key, fmt::format("shape \"{}\" has no '{}'", *chosen, key));
        } else if (auto numbers = read_numbers(*given, path + "." + key, problems)) {
            target = std::move(*numbers);
        }
    };
    read_list("at", out.at);
    read_list("values", out.values);
    if (const Value* per = table.find("per")) {
        const bool known = per->is_text() && (per->text() == "step" || per->text() == "epoch");
        if (!known)
            complain(*per, "per", fmt::format("found {}, expected \"step\" or \"epoch\"", found(*per)));
        else
            out.per_epoch = per->text() == "epoch";
    }
    if (problems.messages().size() != before) return fallback;
    if (stepped && out.values.size() != out.at.size() + 1)
        complain(*table.find("values"), "values",
                 fmt::format("found {} values for {} edges in 'at', expected one value more than edges",
                             out.values.size(), out.at.size()));
    if (!std::is_sorted(out.at.begin(), out.at.end()))
        complain(*table.find("at"), "at", "the epochs must ascend");
    return problems.messages().size() == before ? out : fallback;
}

Options bind_options(const Table& raw, const Schema& schema, const std::string& path, const Origin& where,
                     Diagnostics& problems) {
    Options out(schema);
    for (std::size_t i = 0; i < raw.keys().size(); ++i) {
        const auto& key = raw.keys()[i];
        const Value& value = raw.at(i);
        const auto at = path + "." + key;
        const OptionSpec* spec = schema.find(key);
        if (spec == nullptr) {
            const auto names = schema.names();
            problems.add(value.origin, names.empty()
                                           ? fmt::format("{}: unknown key, {} has no options", at, path)
                                           : fmt::format("{}: unknown key, expected one of {}{}", at,
                                                         join(names), did_you_mean_key(key, names)));
            continue;
        }
        if (spec->special && value.is_text() && value.text() == spec->special->first) {
            out.set(key, spec->special->second);
            continue;
        }
        auto resolved = value;
        if (spec->names_file && !resolve_files(resolved, at, problems)) continue;
        auto converted = convert(resolved, *spec, at, problems);
        if (!converted) continue;
        if (const auto complaint = spec->check(*converted); !complaint.empty())
            problems.add(value.origin, at + ": " + complaint);
        else
            out.set(key, std::move(*converted));
    }
    for (const auto& spec : schema.options())
        if (spec.needed && raw.find(spec.name) == nullptr)
            problems.add(where,
                         fmt::format("{0}.{1}: missing, expected {2} ({3}): write it in the recipe, or add "
                                     "{0}.{1}=VALUE to the command line",
                                     path, spec.name, to_string(spec.type), spec.help));
    return out;
}

namespace {

std::int64_t epochs_of(const Table& tree) {
    const Value* train = tree.find("train");
    const Value* epochs = train != nullptr && train->is_table() ? train->table().find("epochs") : nullptr;
    const auto* number = epochs == nullptr ? nullptr : std::get_if<std::int64_t>(&epochs->data);
    return number == nullptr ? TrainSpec().epochs : *number;
}

/// "5 %" -> 5 and 100, "1/6" -> 1 and 6; nothing where the text is not like that.
std::optional<std::pair<double, double>> share_of(const std::string& text) {
    const auto read = [](std::string_view& rest) -> std::optional<double> {
        double number = 0;
        const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        if (failed != std::errc() || !std::isfinite(number)) return std::nullopt;
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        return number;
    };
    std::string_view rest = text;
    const auto part = read(rest);
    if (!part) return std::nullopt;
    if (rest == "%" || rest == " %") return std::pair(*part, 100.0);
    if (!rest.starts_with('/')) return std::nullopt;
    rest.remove_prefix(1);
    const auto whole = read(rest);
    if (!whole || !rest.empty() || *whole <= 0) return std::nullopt;
    return std::pair(*part, *whole);
}

void put_epochs(Value& value, std::int64_t epochs) {
    if (value.is_array())
        for (auto& entry : value.array()) put_epochs(entry, epochs);
    if (!value.is_table()) return;
    auto& table = value.table();
    for (const auto& key : table.keys()) put_epochs(*table.find(key), epochs);
    Value* warmup = table.find("warmup");
    if (warmup == nullptr || !warmup->is_text() || table.find("shape") == nullptr) return;
    if (const auto share = share_of(warmup->text()))
        warmup->data = share->first * static_cast<double>(epochs) / share->second;
}

}  // namespace

Table with_warmups_in_epochs(const Table& tree) {
    Value out{tree, {}};
    put_epochs(out, epochs_of(tree));
    return std::move(out.table());
}

void check_schedules(const Table& tree, const std::string& path, std::int64_t epochs, const Address& address,
                     Diagnostics& problems) {
    const auto run = static_cast<double>(epochs);
    const auto visit = [&](const Value& value, const std::string& at) {
        if (value.is_table()) {
            check_schedules(value.table(), at, epochs, address, problems);
        } else if (value.is_array()) {
            for (std::size_t i = 0; i < value.array().size(); ++i) {
                const Value& entry = value.array()[i];
                const auto id = identity(path.empty() ? at : "", entry);
                if (entry.is_table())
                    check_schedules(entry.table(), at + "." + (id.empty() ? std::to_string(i) : id), epochs,
                                    address, problems);
            }
        }
    };
    for (std::size_t i = 0; i < tree.keys().size(); ++i)
        visit(tree.at(i), path + (path.empty() ? "" : ".") + tree.keys()[i]);
    const Value* shape = tree.find("shape");
    if (shape == nullptr || !shape->is_text() || tree.find("use") != nullptr) return;
    if (const Value* warmup = tree.find("warmup");
        warmup != nullptr && is_number(*warmup) && number_of(*warmup) > run)
        problems.add(
            warmup->origin,
            fmt::format("{0}.warmup: found a warm-up of {1} epochs, but the run has {2} (train.epochs): "
                        "add {3}=10% to the command line, a tenth of the run, or {3}=0",
                        path, number_of(*warmup), epochs, address(path + ".warmup")));
    if (const Value* at = tree.find("at"); at != nullptr && at->is_array() && !at->array().empty() &&
                                           is_number(at->array().back()) && number_of(at->array().back()) > run)
        problems.add(at->origin,
                     fmt::format("{0}.at: found an edge at epoch {1}, but the run has {2} (train.epochs): add "
                                 "{3}=[..] with edges up to {2} to the command line, or raise {4}",
                                 path, number_of(at->array().back()), epochs, address(path + ".at"),
                                 address("train.epochs")));
}

}  // namespace hearth::recipe

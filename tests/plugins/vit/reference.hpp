// Components against other implementations, by file. tools/vit_reference.py writes a safetensors file with
//   metadata  kind, id and, as JSON, options, symbols and
//             cases: {name: {options: changed ones, in: {port: tensor}}}
//   tensors   weights/<parameter>, those that cases read and, in a stored file, out/<case>/<port>
// and this runs the cases.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/safetensors.hpp"
#include "support/plugins.hpp"

namespace hearth::test {

class Reference {
  public:
    explicit Reference(const std::filesystem::path& file)
        : file_(base::read_safetensors(file)),
          type_(registry().find(kind_of(file_.metadata.at("kind")), file_.metadata.at("id"))),
          cases_(nlohmann::json::parse(file_.metadata.at("cases"))) {}

    std::vector<std::string> cases() const {
        std::vector<std::string> names;
        for (const auto& [name, changes] : cases_.items()) names.push_back(name);
        return names;
    }
    /// What the file says should come out.
    Tensors expected(const std::string& name) const {
        const auto prefix = "out/" + name + "/";
        Tensors found;
        for (const auto& [tensor_name, tensor] : file_.tensors)
            if (tensor_name.starts_with(prefix)) found.set(tensor_name.substr(prefix.size()), tensor);
        return found;
    }

    const base::SafeTensors& file() const { return file_; }

    /// The weights of the file, under the names it has for them.
    std::vector<std::pair<std::string, at::Tensor>> weights() const {
        std::vector<std::pair<std::string, at::Tensor>> out;
        for (const auto& [name, tensor] : file_.tensors)
            if (name.starts_with("weights/")) out.emplace_back(name.substr(8), tensor);
        return out;
    }
    /// The component as made for a case; for images of `edge` x `edge` in place of the file's where it is given.
    std::shared_ptr<Component> make(const std::string& name, std::int64_t edge = 0) const {
        Symbols symbols;
        const auto bound = nlohmann::json::parse(file_.metadata.at("symbols"));
        for (const auto& [key, value] : bound.items())
            symbols.bind(key, edge > 0 && key != "C" ? edge : value.get<std::int64_t>());
        return type_.create(options(name), symbols);
    }
    Options options(const std::string& name) const {
        Options out(type_.schema());
        for (const auto& json :
             {nlohmann::json::parse(file_.metadata.at("options")), cases_.at(name).at("options")})
            for (const auto& [key, value] : json.items()) out.set(key, option(key, value));
        return out;
    }

    Tensors run(const std::string& name) const {
        const auto component = make(name);
        const at::NoGradGuard no_grad;
        for (auto& item : component->named_parameters()) {
            const auto weight = file_.find("weights/" + item.key());
            if (weight.defined())
                item.value().copy_(weight);
            else if (item.value().requires_grad())
                throw std::runtime_error("the file has no weights for " + item.key());
        }
        return run(name, component);
    }
    Tensors run(const std::string& name, const std::shared_ptr<Component>& component) const {
        const at::NoGradGuard no_grad;
        Tensors in;
        for (const auto& [port, tensor] : cases_.at(name).at("in").items())
            in.set(port, file_.find(tensor.get<std::string>()));
        if (type_.kind() == Kind::backbone)
            return std::static_pointer_cast<Backbone>(component)->forward(in, {});
        if (type_.kind() == Kind::head) return std::static_pointer_cast<Head>(component)->forward(in, {});
        const auto loss = std::static_pointer_cast<Loss>(component)->forward(in, {});
        return {{"total", loss.total}, {"per_sample", loss.per_sample}, {"per_pixel", loss.per_pixel}};
    }

  private:
    static Kind kind_of(const std::string& word) {
        for (const auto kind : {Kind::backbone, Kind::head, Kind::loss})
            if (to_string(kind) == word) return kind;
        throw std::runtime_error("no component of kind '" + word + "' can be run from a file");
    }

    OptionValue option(const std::string& name, const nlohmann::json& value) const {
        const auto* spec = type_.schema().find(name);
        if (spec == nullptr) throw std::runtime_error(type_.id() + " has no option " + name);
        switch (spec->type) {
            case OptionType::boolean:
                return value.get<bool>();
            case OptionType::integer:
                return value.get<std::int64_t>();
            case OptionType::number:
                return Schedule(value.get<double>());
            case OptionType::text:
                return value.get<std::string>();
            case OptionType::numbers:
                return value.get<std::vector<double>>();
            default:
                throw std::runtime_error(name + " has a type that no case needs yet");
        }
    }

    base::SafeTensors file_;
    const host::ComponentType& type_;
    nlohmann::json cases_;
};

}  // namespace hearth::test

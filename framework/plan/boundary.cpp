#include "plan/boundary.hpp"

#include <ATen/core/grad_mode.h>
#include <c10/util/SmallVector.h>
#include <fmt/format.h>

#include <algorithm>
#include <hearth/text.hpp>
#include <map>

#include "base/utf8.hpp"
#include "plan/tensor_text.hpp"

namespace hearth::plan {
namespace {

using Words = std::map<std::string, std::string>;

constexpr std::int64_t open = -1;  ///< a size that nothing has said yet

bool is_of(const std::string& declared, at::ScalarType found, const CallSetting& setting) {
    if (declared == "int64") return found == at::kLong;
    if (declared == "bool") return found == at::kBool;
    return found == setting.floating || found == setting.mixed;
}

std::string type_text(const std::string& declared, const CallSetting& setting) {
    if (declared != "float") return declared;
    const auto floating = dtype_text(setting.floating);
    return setting.mixed ? floating + " or " + dtype_text(*setting.mixed) : floating;
}

/// Devices differ; one without a number is any of its type.
bool elsewhere(c10::Device found, c10::Device expected) {
    if (found.type() != expected.type()) return true;
    return found.has_index() && expected.has_index() && found.index() != expected.index();
}

bool must_be_there(const Port& port, const CallSetting& setting) {
    if (setting.wanted != nullptr) return setting.wanted->count(port.name) != 0;
    return !port.optional || (setting.needed != nullptr && setting.needed->count(port.name) != 0);
}

/// The first that has a gradient, or null.
const std::string* with_gradient(const Tensors& in) {
    for (const auto& [name, tensor] : in)
        if (tensor.defined() && tensor.requires_grad()) return &name;
    return nullptr;
}

/// A symbol of the reads that was bound to another one, such as the L that became N, is N in the writes: from there
/// to the symbol. Where two became the same N, which of them is meant is not known, and N is one of its own.
Words words_of_writes(const Ports& reads, const Symbols& symbols) {
    Words out;
    for (const auto& port : reads)
        for (const auto& dim : port.shape) {
            if (dim.known() || symbols[dim.text()].known()) continue;
            const auto word = symbols[dim.text()].text();
            const auto [at, fresh] = out.emplace(word, dim.text());
            if (!fresh && at->second != dim.text()) at->second = "either " + word;
        }
    return out;
}

std::string total_misfit(const at::Tensor& total, const Tensors& in, c10::Device device,
                         const CallSetting& setting) {
    if (!total.defined()) return "total: found an undefined tensor, expected a scalar";
    if (total.dim() != 0)
        return fmt::format("total: found {}, expected a scalar; take its mean() or sum()", sizes_text(total));
    if (!is_of("float", total.scalar_type(), setting))
        return fmt::format("total: found {}, expected {}; convert it with to()",
                           dtype_text(total.scalar_type()), type_text("float", setting));
    if (elsewhere(total.device(), device))
        return fmt::format("total: found on {}, expected on {}", total.device().str(), device.str());
    if (total.requires_grad() || !at::GradMode::is_enabled()) return "";
    const auto* read = with_gradient(in);
    if (read == nullptr) return "";
    return fmt::format(
        "total: found no gradient, expected one, since it reads '{}', which has one; what it is computed from "
        "is "
        "detached, or computed without gradients",
        *read);
}

std::string terms_misfit(const LossOutput& out) {
    for (const auto& [name, value] : out.terms) {
        if (name.empty() || !base::is_printable(name))
            return fmt::format("terms: found the name '{}', expected a printable one", base::printable(name));
        if (!value.defined() || value.numel() != 1)
            return fmt::format("term '{}': found {}, expected one number", name,
                               value.defined() ? sizes_text(value) : "an undefined tensor");
    }
    return "";
}

}  // namespace

/// What is known in one call.
struct Boundary::Call {
    const CallSetting& setting;
    c10::Device device;
    bool as_planned = true;  ///< it was given all reads, in the sizes that the symbols know
    c10::SmallVector<std::int64_t, 16> sizes;

    Call(const Tensors& in, std::size_t symbols, const CallSetting& given)
        : setting(given), device(given.device), sizes(symbols, open) {
        for (const auto& [name, tensor] : in) {
            if (!tensor.defined()) continue;
            device = tensor.device();
            break;
        }
    }
    std::int64_t& size_of(std::int64_t code) { return sizes[static_cast<std::size_t>(-1 - code)]; }
    std::int64_t size_of(std::int64_t code) const { return sizes[static_cast<std::size_t>(-1 - code)]; }
};

Boundary::Boundary(const Ports& reads, const Ports& writes, const Symbols& symbols, Of of) {
    const auto words = words_of_writes(reads, symbols);
    for (auto port : reads) {
        for (auto& dim : port.shape)
            if (const auto bound = symbols[dim.text()]; !dim.known() && bound.known()) dim = bound;
        reads_.push_back(declared(port, of, {}));
    }
    for (const auto& port : writes) writes_.push_back(declared(port, of, words));
}

Boundary Boundary::of_names(const std::vector<std::string>& names) {
    Boundary out;
    for (const auto& name : names) out.writes_.push_back({Port(name, Shape{}, ""), {}, /*any=*/true});
    return out;
}

std::int64_t Boundary::number_of(const std::string& symbol) {
    const auto found = std::ranges::find(symbols_, symbol) - symbols_.begin();
    if (found == std::ssize(symbols_)) symbols_.push_back(symbol);
    return -1 - found;
}

Boundary::Declared Boundary::declared(const Port& port, Of of, const Words& words) {
    Declared out{port, {}};
    if (of == Of::sample) std::erase(out.port.shape, Dim("B"));
    for (const auto& dim : out.port.shape) {
        const auto word = words.find(dim.text());
        out.sizes.push_back(dim.known() ? dim.value()
                                        : number_of(word == words.end() ? dim.text() : word->second));
    }
    return out;
}

std::string Boundary::bind(const Tensors& in, Call& call) const {
    for (const auto& read : reads_) {
        if (!in.has(read.port.name) || in[read.port.name].dim() != std::ssize(read.sizes)) {
            call.as_planned = false;
            continue;
        }
        const auto& tensor = in[read.port.name];
        for (std::size_t i = 0; i < read.sizes.size(); ++i) {
            const auto found = tensor.size(static_cast<std::int64_t>(i));
            if (read.sizes[i] >= 0) {
                call.as_planned = call.as_planned && read.sizes[i] == found;
                continue;
            }
            auto& size = call.size_of(read.sizes[i]);
            if (size != open && size != found)
                return fmt::format("input '{}': found {}, expected {}, as in what else it reads",
                                   read.port.name, sizes_text(tensor), expected(read, call));
            size = found;
        }
    }
    const auto batch = std::ranges::find(symbols_, "B") - symbols_.begin();
    if (batch < std::ssize(symbols_) && call.sizes[static_cast<std::size_t>(batch)] == open)
        call.sizes[static_cast<std::size_t>(batch)] = call.setting.batch;
    return "";
}

std::string Boundary::expected(const Declared& declared, const Call& call) const {
    std::vector<std::string> words;
    for (std::size_t i = 0; i < declared.sizes.size(); ++i) {
        const auto code = declared.sizes[i];
        const auto size = code >= 0 ? code : call.size_of(code);
        words.push_back(size == open ? declared.port.shape[i].text() : std::to_string(size));
    }
    return fmt::format("[{}] ('{}')", join(words), to_string(declared.port.shape));
}

std::string Boundary::sizes_misfit(const Declared& declared, const at::Tensor& tensor, Call& call) const {
    bool fits = tensor.dim() == std::ssize(declared.sizes);
    for (std::size_t i = 0; fits && i < declared.sizes.size(); ++i) {
        const auto code = declared.sizes[i], found = tensor.size(static_cast<std::int64_t>(i));
        if (code >= 0)
            fits = code == found || !call.as_planned;
        else if (auto& size = call.size_of(code); size == open)
            size = found;
        else
            fits = size == found;
    }
    if (fits) return "";
    return fmt::format("output '{}': found {}, expected {}", declared.port.name, sizes_text(tensor),
                       expected(declared, call));
}

std::string Boundary::misfit(const Declared& declared, const at::Tensor& tensor, Call& call) const {
    const auto& port = declared.port;
    if (!tensor.defined())
        return fmt::format("output '{}': found an undefined tensor, expected {}", port.name,
                           declared.any ? "one that holds something" : expected(declared, call));
    if (elsewhere(tensor.device(), call.device))
        return fmt::format("output '{}': found on {}, expected on {}, where its inputs are", port.name,
                           tensor.device().str(), call.device.str());
    if (declared.any) return "";
    if (auto text = sizes_misfit(declared, tensor, call); !text.empty()) return text;
    if (is_of(port.dtype, tensor.scalar_type(), call.setting)) return "";
    return fmt::format(
        "output '{}': found {}, expected {}; convert it with to(), or declare its type with of()", port.name,
        dtype_text(tensor.scalar_type()), type_text(port.dtype, call.setting));
}

std::string Boundary::missing(const Declared& declared, const std::vector<std::string>& there) const {
    return fmt::format("output '{}': found none of that name{}, expected '{}', as declared", declared.port.name,
                       there.empty() ? "" : " but " + join(there), to_string(declared.port.shape));
}

std::string Boundary::undeclared(const Tensors& out) const {
    std::vector<std::string> names;
    for (const auto& write : writes_) names.push_back(write.port.name);
    for (const auto& [name, tensor] : out)
        if (std::ranges::find(names, name) == names.end())
            return fmt::format(
                "output '{}': found an output that is not declared, expected {}{}; add it to writes()",
                base::printable(name), names.empty() ? "none" : "one of: " + join(names),
                did_you_mean(name, names));
    return "";
}

std::string Boundary::problem(const Tensors& in, const Tensors& out, const CallSetting& setting) const {
    Call call(in, symbols_.size(), setting);
    if (auto text = bind(in, call); !text.empty()) return text;
    std::size_t there = 0;
    for (const auto& write : writes_) {
        if (out.has(write.port.name)) {
            ++there;
            if (auto text = misfit(write, out[write.port.name], call); !text.empty()) return text;
        } else if (must_be_there(write.port, setting)) {
            std::vector<std::string> names;
            for (const auto& [name, tensor] : out) names.push_back(base::printable(name));
            return missing(write, names);
        }
    }
    return there == out.size() ? "" : undeclared(out);
}

std::string Boundary::problem(const Tensors& in, const LossOutput& out, const CallSetting& setting) const {
    Call call(in, symbols_.size(), setting);
    if (auto text = bind(in, call); !text.empty()) return text;
    if (auto text = total_misfit(out.total, in, call.device, setting); !text.empty()) return text;
    for (const auto& write : writes_) {
        const auto& tensor = write.port.name == "per_pixel" ? out.per_pixel : out.per_sample;
        if (!tensor.defined() && !must_be_there(write.port, setting)) continue;
        if (auto text = misfit(write, tensor, call); !text.empty()) return text;
    }
    return terms_misfit(out);
}

}  // namespace hearth::plan

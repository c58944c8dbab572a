// Holds what a component returns to what it declared: names, ranks, sizes, types and devices. Where that is not
// done, whoever reads the tensor next is blamed, or nobody is.
//
//   const Boundary boundary(type.reads(options), type.writes(options, symbols), symbols);
//   const auto out = head->forward(in, context);
//   const auto problem = boundary.problem(in, out, {.device = context.device});
//
// A size that the symbols do not know is the same wherever it occurs in a call: B, or how many patches are
// visible. A problem says what was found and what was expected; the caller puts in front whose call it was.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <hearth/component.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hearth::plan {

/// What a call is held to besides its ports.
struct CallSetting {
    c10::Device device = c10::kCPU;            ///< where outputs belong; where the call reads something: there
    at::ScalarType floating = at::kFloat;      ///< what a port of "float" holds
    std::optional<at::ScalarType> mixed = {};  ///< and what mixed precision may make of it
    std::int64_t batch = -1;  ///< B, for a call that reads nothing with a batch axis; -1: not known
    const std::set<std::string>* wanted = nullptr;  ///< Context::wanted: the other outputs may be left out
    const std::set<std::string>* needed = nullptr;  ///< of those that may go unread, the ones that are read
};

/// Immutable once made, so that several threads may ask it.
class Boundary {
  public:
    /// Whose tensors: those of a batch, or those of one sample, which lack the axis "B".
    enum class Of { batch, sample };

    Boundary() = default;
    /// `reads` as the component declares them, those that it is given; `writes` as it gives them for `symbols`,
    /// which are what is known about the symbols of `reads`. A call that is not given them all, or other sizes,
    /// may have outputs of other sizes than `symbols` knows: features of a backbone that in the plan sees parts.
    Boundary(const Ports& reads, const Ports& writes, const Symbols& symbols, Of of = Of::batch);
    /// Of outputs whose names alone are declared: DeviceAugment::drawn().
    static Boundary of_names(const std::vector<std::string>& names);

    /// "" when `out` is what was declared, given what was read. Looks at no value, so a GPU is not waited for.
    std::string problem(const Tensors& in, const Tensors& out, const CallSetting& setting) const;
    /// The same for a loss. Its total has to have a gradient where gradients are recorded and something that it
    /// read has one.
    std::string problem(const Tensors& in, const LossOutput& out, const CallSetting& setting) const;

  private:
    struct Declared {
        Port port;
        std::vector<std::int64_t> sizes;  ///< a size, or -1 minus the number of its symbol
        bool any = false;                 ///< only the name is declared
    };
    struct Call;
    Declared declared(const Port& port, Of of, const std::map<std::string, std::string>& words);
    std::int64_t number_of(const std::string& symbol);
    std::string bind(const Tensors& in, Call& call) const;
    std::string misfit(const Declared& declared, const at::Tensor& tensor, Call& call) const;
    std::string sizes_misfit(const Declared& declared, const at::Tensor& tensor, Call& call) const;
    std::string expected(const Declared& declared, const Call& call) const;
    std::string missing(const Declared& declared, const std::vector<std::string>& there) const;
    std::string undeclared(const Tensors& out) const;

    std::vector<Declared> reads_, writes_;
    std::vector<std::string> symbols_;
};

}  // namespace hearth::plan

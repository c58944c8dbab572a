// Ports name the tensors that a component reads and writes.
#pragma once

#include <array>
#include <hearth/shape.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// One named tensor. `shape` uses symbols where the size is somebody else's business: "B L D".
struct Port {
    std::string name;
    Shape shape;
    std::string help;
    bool optional = false;  ///< may stay unconnected; the component then finds no tensor of that name
    std::string dtype = "float";
    bool with_gradient = false;  ///< see gradient()
    bool is_detached = false;    ///< see detached()
    bool only_for_fit = false;   ///< see for_fit()

    Port(std::string port_name, const char* symbols, std::string line)
        : name(std::move(port_name)), shape(parse_shape(symbols)), help(std::move(line)) {}
    Port(std::string port_name, Shape dims, std::string line)
        : name(std::move(port_name)), shape(std::move(dims)), help(std::move(line)) {}
    Port maybe() const {
        Port copy = *this;
        copy.optional = true;
        return copy;
    }
    /// Another type than float, one of port_dtypes. A plugin with a port of any other is refused.
    Port of(std::string type) const {
        Port copy = *this;
        copy.dtype = std::move(type);
        return copy;
    }
    /// Of a read: the component differentiates by this tensor, so the host has gradients recorded from where it
    /// is written to the reader, in training and in scoring, also where no parameter asks for them. The
    /// gradient penalty of WGAN-GP (Gulrajani et al. 2017, eq. 3) is one that needs it.
    Port gradient() const {
        Port copy = *this;
        copy.with_gradient = true;
        return copy;
    }
    /// Of a read: no gradient goes through this port, which the component sees to by itself or not; the host
    /// detaches the tensor, and the plan knows and draws the cut.
    Port detached() const {
        Port copy = *this;
        copy.is_detached = true;
        return copy;
    }
    /// Of a read: delivered by TrainingSet::each() alone, so that a pass which only a fit reads does not run in
    /// steps. forward() finds no tensor of that name.
    Port for_fit() const {
        Port copy = *this;
        copy.only_for_fit = true;
        return copy;
    }
};

using Ports = std::vector<Port>;

/// The types that Port::of() takes. "float" is float32, or what mixed precision makes of it: bfloat16; the others
/// are themselves.
inline constexpr std::array<std::string_view, 3> port_dtypes = {"float", "int64", "bool"};

}  // namespace hearth

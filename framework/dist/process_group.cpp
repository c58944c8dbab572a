#include "dist/process_group.hpp"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <torch/autograd.h>

#include <hearth/error.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dist/backend.hpp"

namespace hearth::dist {
namespace {

using at::Tensor;

/// Calls `body`; whatever it throws means that the others are out of reach.
template <class Body>
auto reached(const ProcessGroup& group, const std::string& what, const Body& body) {
    try {
        return body();
    } catch (const c10::Error& error) {
        group.lost(what, error.what_without_backtrace());
    } catch (const Error&) {
        throw;
    } catch (const std::exception& error) {
        group.lost(what, error.what());
    }
}

/// Concatenates along dimension 0; backward sums what all processes say about the rows of this one.
class Gather : public torch::autograd::Function<Gather> {
  public:
    static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const ProcessGroup* group) {
        const at::AutoDispatchBelowADInplaceOrView below;
        ctx->saved_data["group"] = reinterpret_cast<std::int64_t>(group);
        ctx->saved_data["rows"] = x.size(0);
        return group->all_gather(x, /*with_grad=*/false);
    }
    static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::tensor_list& gradients) {
        const auto* group = reinterpret_cast<const ProcessGroup*>(ctx->saved_data["group"].toInt());
        const auto rows = ctx->saved_data["rows"].toInt();
        auto sum = gradients[0].contiguous().clone();
        group->all_reduce_sum(sum);
        return {sum.narrow(0, group->rank() * rows, rows), Tensor()};
    }
};

}  // namespace

ProcessGroup::ProcessGroup(const Launch& launch, c10::Device device, std::chrono::seconds timeout)
    : launch_(launch), device_(device), timeout_(timeout) {
    // NCCL and allocations without a device use the current one.
    if (device.is_cuda()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
    reached(
        *this, fmt::format("joining {} processes at {}:{}", launch.world, launch.address, launch.port), [&] {
            c10d::TCPStoreOptions options;
            options.port = static_cast<std::uint16_t>(launch.port);
            options.isServer = launch.rank == 0;
            options.numWorkers = static_cast<std::size_t>(launch.world);
            options.timeout = timeout;
            // torchrun keeps a store of its own at this address: then nobody has to serve one.
            options.multiTenant = true;
            const auto agent = process_environment()("TORCHELASTIC_USE_AGENT_STORE");
            if (agent && *agent == "True") options.isServer = false;
            const auto restart = process_environment()("TORCHELASTIC_RESTART_COUNT").value_or("0");
            store_ = c10::make_intrusive<c10d::PrefixStore>(
                "hearth" + restart, c10::make_intrusive<c10d::TCPStore>(launch.address, options));
            group_ = c10::make_intrusive<c10d::ProcessGroup>(store_, launch.rank, launch.world);
            const auto type =
                device.is_cpu() ? c10d::ProcessGroup::BackendType::GLOO : c10d::ProcessGroup::BackendType::NCCL;
            group_->setBackend(device.type(), type, make_backend(store_, launch, device, timeout));
            group_->setDefaultBackend(type);
        });
}

ProcessGroup::~ProcessGroup() = default;

void ProcessGroup::lost(const std::string& what, const std::string& reason) const {
    throw CommunicationLost(
        fmt::format("process {} of {}: {} failed: {}. Another process ended, or did not answer within {} s; "
                    "its own message "
                    "says why. The same command with --resume goes on from the last checkpoint",
                    launch_.rank, launch_.world, what, reason.substr(0, reason.find('\n')), timeout_.count()));
}

void ProcessGroup::all_reduce_sum(Tensor& tensor) const {
    reached(*this, "all-reduce", [&] {
        const at::NoGradGuard no_grad;
        std::vector<Tensor> tensors = {tensor.to(device_).contiguous()};
        group_->allreduce(tensors)->wait();
        if (!tensors[0].is_same(tensor)) tensor.copy_(tensors[0]);
    });
}

Tensor ProcessGroup::all_gather(const Tensor& tensor, bool with_grad) const {
    if (with_grad && tensor.requires_grad()) return Gather::apply(tensor, this);
    return reached(*this, "all-gather", [&] {
        const at::NoGradGuard no_grad;
        std::vector<Tensor> input = {tensor.detach().to(device_).contiguous()};
        std::vector<std::vector<Tensor>> parts(1);
        for (int i = 0; i < launch_.world; ++i) parts[0].push_back(at::empty_like(input[0]));
        group_->allgather(parts, input)->wait();
        return at::cat(parts[0]).to(tensor.device());
    });
}

std::string ProcessGroup::from_first(const std::string& text) const {
    const auto key = fmt::format("text{}", meetings_++);
    return reached(*this, "waiting for a word of process 0", [&] {
        if (launch_.rank == 0) store_->set(key, std::vector<std::uint8_t>(text.begin(), text.end()));
        const auto bytes = store_->get(key);
        return std::string(bytes.begin(), bytes.end());
    });
}

void ProcessGroup::wait_for_all(std::chrono::seconds patience) const {
    const auto key = fmt::format("meeting{}", meetings_++);
    reached(*this, "waiting for all processes", [&] {
        if (store_->add(key, 1) == launch_.world) store_->set(key + "done", std::vector<std::uint8_t>{1});
        store_->wait({key + "done"}, patience);
    });
}

}  // namespace hearth::dist

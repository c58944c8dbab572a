// A new key is a member with its default in recipe.hpp, a line here, and the row of docs/recipes.md that
// tests/recipe/keys.cpp then asks for. The keys of [optimizer] are in optimizer.cpp.
#include "recipe/section_keys.hpp"

namespace hearth::recipe {
namespace {

/// Keys that several sections have.
template <class Spec>
Key<Spec> positive() {
    return key("positive", &Spec::positive)
        .doc("value or values, comma separated, that count as 1; \"\" = every class by itself");
}

template <class Spec>
Key<Spec> negative() {
    return key("negative", &Spec::negative).doc("value that counts as 0; \"\" = all others");
}

template <class Spec>
Key<Spec> uncertain() {
    return key("uncertain", &Spec::uncertain)
        .choices({"ignore", "zeros", "ones"})
        .doc("what a cell of -1 counts as: nothing, 0 (negative) or 1 (positive)");
}

template <class Spec>
Key<Spec> blank() {
    return key("blank", &Spec::blank)
        .choices({"ignore", "zeros"})
        .doc("what an empty cell counts as: nothing or 0 (negative)");
}

template <class Spec>
Key<Spec> phantom_count() {
    return key("phantom_count", &Spec::phantom_count)
        .range(0, any_count)
        .doc("generated images, when source = \"phantom\"");
}

template <class Spec>
Key<Spec> phantom_seed() {
    return key("phantom_seed", &Spec::phantom_seed).range(0, any_count).doc("seed of the generated images");
}

Key<LabelledSpec> bootstrap_patient() {
    return key("patient", &LabelledSpec::patient)
        .doc("column for the bootstrap; without it every image is its own patient");
}

/// A key of [detect] that is one of a labelled data set.
Key<DetectSpec> labelled(const Key<LabelledSpec>& key) {
    return within(&DetectSpec::labelled, key);
}

}  // namespace

Keys<DataSpec> data_keys() {
    using S = DataSpec;
    return {
        key("source", &S::source).required().doc("\"phantom\", or a manifest (CSV) or folder of images"),
        key("where", &S::where).doc("which rows of the manifest: label == \"normal\" and split == \"train\""),
        phantom_count<S>(),
        phantom_seed<S>(),
        key("phantom_lesions", &S::phantom_lesions).range(0, 1).doc("share of generated images with a lesion"),
        key("size", &S::size).range(8, 8192).doc("images become size x size pixels"),
        key("channels", &S::channels).range(1, 3).doc("1, or 3 equal ones for weights that want colour"),
        key("fit", &S::fit)
            .choices({"stretch", "pad"})
            .doc("how an image that is not square becomes one: stretched, or between black bars"),
        key("label", &S::label)
            .doc("column that becomes the tensor `label` for losses that want one, or several, comma "
                 "separated, each 1 or 0 by itself; \"\" = none"),
        positive<S>(),
        negative<S>(),
        uncertain<S>(),
        blank<S>(),
        key("mask", &S::mask).doc("column of masks that become the tensor `segmentation`; \"\" = none"),
        key("patient", &S::patient)
            .doc("column whose images stay together in a fraction or fold; without it every image is its own "
                 "patient"),
        key("fraction", &S::fraction).range(1e-6, 1).doc("train on this share of the patients of each class"),
        key("folds", &S::folds)
            .range(0, 1000)
            .doc("cross-validation: patients are dealt into so many folds, and [eval] tests on `fold`; 0 = "
                 "none"),
        key("fold", &S::fold).range(0, 999).doc("the fold that is not trained on"),
        key("split_seed", &S::split_seed).range(0, any_count).doc("seed of fraction and folds"),
        key("workers", &S::workers).range(0, 1024).doc("threads that load images; 0 = chosen by Hearth"),
        key("prefetch", &S::prefetch).range(1, 1024).doc("batches that are loaded ahead"),
        key("cache", &S::cache)
            .choices({"auto", "none", "memory", "packed"})
            .doc("decoded images at training size: kept in memory (16 bit), or packed once into a file (8 bit) "
                 "that all processes map; auto = memory while that takes at most half of what is free, else "
                 "packed"),
        key("cache_folder", &S::cache_folder)
            .doc("where packed files are; \"\" = hearth in the user's cache folder"),
        key("samples_per_image", &S::samples_per_image)
            .range(1, 1024)
            .doc("samples made of each image, side by side in a batch: passes that are not trained and see "
                 "the image as it is run once for all of them"),
        key("augment_on", &S::augment_on)
            .choices({"workers", "device"})
            .doc("where views are made: by the loader's workers, or by the device in batches, with the same "
                 "draws, where an augment can"),
        key("max_pixels", &S::max_pixels)
            .range(0, any_count)
            .doc("larger images are set aside as bad; 0 = 100 million"),
        key("max_bad", &S::max_bad).range(0, 1).doc("share of bad images that ends the run (exit code 3)"),
    };
}

Keys<TrainSpec> train_keys() {
    using S = TrainSpec;
    return {
        key("epochs", &S::epochs).range(1, 1e6).doc("passes over the data"),
        key("batch", &S::batch)
            .range(1, 1e6)
            .or_word("auto", S::auto_batch)
            .doc("samples of one step in one process; \"auto\": as many as fit the memory. What is "
                 "left of an epoch and fills no batch is left out"),
        key("accumulate", &S::accumulate)
            .range(1, 1e6)
            .doc("batches whose gradients are summed before the optimiser steps"),
        key("precision", &S::precision)
            .choices({"auto", "bf16", "fp32"})
            .doc("bf16: autocast, with losses and norms in fp32; auto: bf16 where the device gains from it"),
        key("device", &S::device).doc("auto, cpu, cuda or cuda:N"),
        key("seed", &S::seed).range(0, any_count).doc("seed of everything random"),
        key("deterministic", &S::deterministic)
            .doc("a GPU gives the same bits in every run, more slowly; an operation that cannot ends the run. "
                 "A CPU "
                 "always does"),
        key("threads", &S::threads)
            .range(0, 4096)
            .doc("threads for arithmetic; 0 = one for each core, which the processes of a machine share"),
        key("timeout", &S::timeout)
            .range(1, 1e6)
            .doc("several processes: seconds until one that does not answer counts as lost, and all end"),
        key("log_every", &S::log_every).range(1, 1e9).doc("steps between two log lines"),
        key("checkpoint_every", &S::checkpoint_every)
            .range(0, 1e9)
            .doc("epochs between two kept checkpoints, besides last and best; 0 = none"),
    };
}

Keys<MonitorSpec> monitor_keys() {
    using S = MonitorSpec;
    return {
        key("features", &S::features)
            .doc("tensor whose spread and rank are tracked; \"\" = the first trained cls, or where no loss "
                 "gets it the mean of its tokens"),
        key("assignments", &S::assignments)
            .doc("tensor of distributions whose entropy is tracked; \"\" = none"),
        special_key<S>("collapse_if", std::vector<std::string>())
            .doc("loss terms that show a collapse, each \"TERM < NUMBER\" or \"TERM > NUMBER\""),
        key("on_collapse", &S::on_collapse).choices({"warn", "stop"}).doc("stop: exit code 5"),
        key("on_nan", &S::on_nan).choices({"warn", "stop"}).doc("stop: exit code 5"),
        key("min_rank", &S::min_rank).range(0, 1e6).doc("effective rank below which features collapsed"),
        key("min_std", &S::min_std).range(0, 1e6).doc("standard deviation below which they collapsed"),
        key("min_entropy", &S::min_entropy)
            .range(0, 1)
            .doc("entropy of the mean assignment / ln K below which assignments collapsed"),
        key("patience", &S::patience)
            .range(1, 1e9)
            .doc("log lines in a row below a threshold before it counts"),
    };
}

Keys<LabelledSpec> labelled_keys() {
    using S = LabelledSpec;
    return {
        key("source", &S::source).doc("\"phantom\", or a manifest (CSV) with labels; \"\" = data.source"),
        key("train_where", &S::train_where).doc("rows the probe learns from"),
        key("test_where", &S::test_where).doc("rows it is measured on"),
        key("label", &S::label).doc("column of the label, or several, comma separated, each 1 or 0 by itself"),
        positive<S>(),
        negative<S>(),
        uncertain<S>(),
        blank<S>(),
        bootstrap_patient(),
        key("head", &S::head)
            .doc("evaluate these logits, such as \"student.logits\", instead of frozen features"),
        key("mask", &S::mask).doc("column of masks: `head` writes a segmentation, which is measured by Dice"),
        key("fraction", &S::fraction)
            .range(1e-6, 1)
            .doc("a probe learns from this share of the training patients of each class"),
        key("validation_where", &S::validation_where)
            .doc("rows that the thresholds of `head` are chosen on; \"\" = the training rows"),
        key("every", &S::every).range(0, 1e6).doc("[probe]: epochs between two probes; 0 = never"),
        key("k", &S::k).range(1, 1e6).doc("neighbours of the k-NN probe"),
        key("features", &S::features)
            .doc("cls, mean or cls+mean: class token, mean of the patch tokens, or both side by side; \"\" = "
                 "what "
                 "the backbone says, of a region its mean"),
        key("network", &S::network)
            .doc("whose backbone the features are of, such as a follower's; \"\" = the first that is trained"),
        key("region", &S::region)
            .doc("column of masks, as for mask: features are the mean of the tokens of what is marked, so that "
                 "places of an image are told apart; \"\" = of the whole image"),
        key("folds", &S::folds)
            .range(0, 100)
            .doc("[eval]: probes by cross-validation over the patients of train_where; test_where is \"\" "
                 "then; 0 = no"),
        words_key("probe", &S::probes)
            .doc("classifiers on frozen features, comma separated: linear, knn, attentive"),
        key("overlap", &S::overlap)
            .doc("test on films and patients that were fitted on too; else that is refused"),
        key("limit", &S::limit).range(0, any_count).doc("at most so many training and test images; 0 = all"),
        key("size", &S::size).range(0, 8192).doc("images become size x size pixels; 0 = data.size"),
        phantom_count<S>(),
        phantom_seed<S>(),
    };
}

Keys<DetectSpec> detect_keys() {
    using S = DetectSpec;
    using L = LabelledSpec;
    return {
        labelled(key("source", &L::source).required().doc("\"phantom\", or a manifest (CSV) with labels")),
        labelled(key("normal_where", &L::train_where).doc("normal images that the scores are standardised on")),
        key("validation_where", &S::validation_where)
            .doc("labelled images on which the threshold of best F1 is chosen; \"\" = the quantile of the "
                 "normal ones"),
        labelled(key("test_where", &L::test_where).doc("rows that are scored")),
        labelled(key("label", &L::label).doc("column of the label")),
        labelled(key("positive", &L::positive)
                     .required()
                     .doc("value or values, comma separated, that count as abnormal")),
        labelled(key("negative", &L::negative).doc("value that counts as normal; \"\" = all others")),
        labelled(uncertain<L>()),
        labelled(blank<L>()),
        labelled(bootstrap_patient()),
        key("kind", &S::kind).doc("column with kinds of abnormality, for an AUC of each; \"\" = none"),
        key("mask", &S::mask)
            .doc("column with masks, for scores of pixels; generated images need none; \"\" = no masks"),
        key("score", &S::score).doc("sum of the scores, \"restore + 0.5 * distance\"; \"\" = all, equally"),
        key("normalise", &S::normalise)
            .choices({"position", "image"})
            .doc("values of pixels are standardised at each place of the image, or with one mean and "
                 "deviation"),
        key("smooth", &S::smooth)
            .range(0, 0.5)
            .doc("deviation of the Gaussian that smooths a heat map, as a share of the image's side"),
        key("top", &S::top)
            .range(1e-6, 1)
            .doc("share of the highest pixels whose mean is the score of an image; 1 = all"),
        key("quantile", &S::quantile)
            .range(0, 1)
            .doc("of the scores of normal images that is the threshold, without validation_where"),
        key("neighbours", &S::neighbours)
            .range(1, any_count)
            .doc("normal films that the baseline \"pixels k-NN\" measures the distance to"),
        key("components", &S::components)
            .range(1, any_count)
            .doc("principal components of normal films that the baseline \"pixels PCA\" takes out of a film"),
        labelled(key("overlap", &L::overlap)
                     .doc("test on films and patients that were trained or standardised on too; else that is "
                          "refused")),
        labelled(
            key("limit", &L::limit).range(0, any_count).doc("at most so many images of each part; 0 = all")),
        key("batch", &S::batch).range(1, 1e6).doc("images that are scored together"),
        key("heatmaps", &S::heatmaps).range(0, 1e6).doc("test images whose heat map is written"),
        labelled(phantom_count<L>()),
        labelled(phantom_seed<L>()),
    };
}

Keys<ValidateSpec> validate_keys() {
    using S = ValidateSpec;
    return {
        key("where", &S::where)
            .required()
            .doc("rows that are measured on, neither trained nor tested on: of the table of [data], or of the "
                 "section that is watched"),
        key("every", &S::every).range(1, 1e6).doc("epochs between two measurements"),
        key("watch", &S::watch)
            .doc("what is measured: total, LOSS.TERM of a [[loss]], detect.auroc or probe.auc"),
        key("best", &S::best).choices({"lowest", "highest"}).doc("which value is the best"),
        key("patience", &S::patience)
            .range(0, 1e6)
            .doc("measurements in a row without a better one after which the training ends; 0 = never"),
        key("overlap", &S::overlap)
            .doc("measure on films and patients that are trained or tested on too; else that is refused"),
    };
}

Schema data_schema() {
    return to_schema(data_keys());
}
Schema train_schema() {
    return to_schema(train_keys());
}
Schema monitor_schema() {
    return to_schema(monitor_keys());
}
Schema labelled_schema() {
    return to_schema(labelled_keys());
}
Schema detect_schema() {
    return to_schema(detect_keys());
}
Schema validate_schema() {
    return to_schema(validate_keys());
}

}  // namespace hearth::recipe

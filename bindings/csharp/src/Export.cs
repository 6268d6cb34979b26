namespace LibSeed
{
    /// <summary>What <see cref="Student.Export"/> writes.</summary>
    public enum ExportFormat
    {
        /// <summary>An ONNX model, operator set 17, with a free batch size.</summary>
        Onnx = 1,
        /// <summary>A TorchScript module, for torch::jit::load and torch.jit.load.</summary>
        TorchScript = 2,
        /// <summary>
        /// safetensors with torchvision's names; a projection stands in place of the classifier's last linear layer.
        /// </summary>
        Torchvision = 3,
        /// <summary>safetensors with torchvision's names, without the head.</summary>
        Backbone = 4,
    }

    /// <summary>What an exported network takes; a file of weights has no input.</summary>
    public enum ExportInput
    {
        /// <summary>
        /// float32 (B, 3, H, W), red, green, blue, normalised by the caller with the student's mean and std.
        /// </summary>
        Normalised = 0,
        /// <summary>float32 (B, 3, H, W) in [0, 1]; the network normalises.</summary>
        Unit = 1,
        /// <summary>Bytes (B, H, W, 3), red, green, blue; the network does the rest.</summary>
        Bytes = 2,
    }

    /// <summary>What an exported network gives; a file of weights has no outputs.</summary>
    public enum ExportOutputs
    {
        /// <summary>"embedding" (B, C), unit rows; with a classifier "logits".</summary>
        Embedding = 0,
        /// <summary>"features" (B, D), not normalised.</summary>
        Features = 1,
        /// <summary>Both, the embedding first.</summary>
        Both = 2,
        /// <summary>The feature maps "c2" to "c5" (B, C, H/stride, W/stride) of strides 4, 8, 16 and 32, for the neck of a detector.</summary>
        Stages = 3,
    }
}
